"""Canned responses that an agent sends."""

import PureCloudPlatformClientV2 as genesys

from .case import Case


def canned(response_id, kind="parameters", **values):
    template = genesys.SendMessagingTemplateRequest()
    template.response_id = response_id
    parameters = []
    for name, value in values.items():
        parameter = genesys.TemplateParameter()
        parameter.id, parameter.value = name, value
        parameters.append(parameter)
    if parameters:
        setattr(template, kind, parameters)
    message = genesys.AdditionalMessage()
    message.messaging_template = template
    return message


class Templates(Case):
    def sends(self, message):
        """The message as the webhook got it, read by the SDK's model."""
        _, conversation, agent = self.talk()
        sent = self.api.post_conversations_message_communication_messages(conversation, agent, message)
        self.assertEqual(sent.normalized_message.type, "Structured")
        return self.hooked_message(sent.id)

    def test_one_is_filled_in(self):
        self.sandbox.response(
            "greeting", text="Hello {{name}}, box {{box}}", header="Harbour", footer="Good bye", language="en"
        )
        for kind in ("parameters", "body_parameters"):
            with self.subTest(kind):
                message = self.sends(canned("greeting", kind, name="Noor", box="7"))
                self.assertEqual((message.type, message.text), ("Structured", "Hello Noor, box 7"))
                self.assertEqual([each.content_type for each in message.content], ["Notification"])
                template = message.content[0].template
                self.assertEqual((template.id, template.language), ("greeting", "en"))
                self.assertEqual(template.header.text, "Harbour")
                self.assertEqual(template.footer.text, "Good bye")
                parameters = {each.name: each.text for each in template.body.parameters}
                self.assertEqual(parameters, {"name": "Noor", "box": "7"})

    def test_one_with_content_of_its_own(self):
        reply = {"contentType": "QuickReply", "quickReply": {"text": "Yes", "payload": "yes", "action": "Message"}}
        self.sandbox.response("question", text="Did it arrive, {{name}}?", content=[reply])
        message = self.sends(canned("question", name="Noor"))
        self.assertEqual(message.text, "Did it arrive, Noor?")
        self.assertEqual([each.content_type for each in message.content], ["QuickReply"])
        self.assertEqual(message.content[0].quick_reply.payload, "yes")

    def test_cards(self):
        card = {
            "title": "Two parcels",
            "description": "One is late",
            "actions": [{"type": "Postback", "text": "Track", "payload": "track"}],
        }
        self.sandbox.response("cards", text="Your parcels", content=[{"contentType": "Card", "card": card}])
        message = self.sends(canned("cards"))
        self.assertEqual(message.content[0].card.title, "Two parcels")
        self.assertEqual(message.content[0].card.actions[0].payload, "track")

    def test_an_unknown_one_is_404(self):
        _, conversation, agent = self.talk()
        post = self.api.post_conversations_message_communication_messages
        self.refused(404, "not.found", post, conversation, agent, canned("nobody-wrote-it"))
        self.refused(400, "bad.request", post, conversation, agent, {"messagingTemplate": {}})
