//! What an agent's message offers the customer to choose from, and which choice an answer means.
//!
//! A message with quick replies, cards or dates makes an offer. If the chat service cannot show
//! buttons, the customer types the number or the label of an option. The answer then reaches
//! Genesys as if the button had been tapped. Pure: the state machine keeps the offer, and matches
//! here.

use serde::{Deserialize, Serialize};

use crate::MessageId;

/// The options of one message. An offer without options stands for one that is too large to keep.
/// It still replaces the offer before it, because the customer reads its numbers.
///
/// ```
/// use conversation::{Choice, Offer, OptionKind};
///
/// let option = |label: &str, payload: &str| Choice {
///     kind: OptionKind::QuickReply,
///     label: label.into(),
///     payload: payload.into(),
///     numbered: true,
/// };
/// let offer = Offer { options: vec![option("Yes", "existing-yes"), option("No", "existing-no")] };
/// assert_eq!(offer.chosen(" 2. "), Some(&offer.options[1]));
/// assert_eq!(offer.chosen("YES"), Some(&offer.options[0]));
/// assert_eq!(offer.chosen("yes, please"), None, "the gateway never guesses");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// In the order in which they are numbered, from 1.
    pub options: Vec<Choice>,
}

/// One option of an [`Offer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What kind of button it is at Genesys.
    pub kind: OptionKind,
    /// What the customer reads.
    pub label: Box<str>,
    /// What Genesys gets for it, beside the label.
    pub payload: Box<str>,
    /// Whether the customer reads its number. They do not if the chat service shows a button.
    pub numbered: bool,
}

/// The kinds of buttons for which Genesys takes an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionKind {
    /// A button of a card or a carousel.
    Button,
    /// A quick reply.
    QuickReply,
    /// A time of a date picker.
    DatePicker,
}

/// The answer to an offer: which option of which message the customer chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The agent's message that made the offer.
    pub to: MessageId,
    /// The option.
    #[serde(flatten)]
    pub choice: Choice,
}

/// The options of a larger offer are not kept: its answers reach Genesys as text. So the state of a
/// conversation stays small (I12).
const MAX_OPTIONS: usize = 100;
/// The most bytes of all labels and payloads of an offer that is kept.
const MAX_BYTES: usize = 8 * 1024;

impl Offer {
    /// The offer if it is small enough to keep, otherwise one without options.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bytes = |choice: &Choice| choice.label.len() + choice.payload.len();
        let fits = self.options.len() <= MAX_OPTIONS
            && self.options.iter().map(bytes).sum::<usize>() <= MAX_BYTES;
        if fits { self } else { Self::default() }
    }

    /// The option that an answer names by its number, by its label, or by the whole line
    /// `2. label`. Case and surrounding blanks do not matter. `None` if no option matches, or more
    /// than one.
    pub fn chosen(&self, answer: &str) -> Option<&Choice> {
        let answer = folded(answer);
        let number = number(&answer);
        let mut hits = self.options.iter().zip(1_usize..).filter(|(choice, place)| {
            let label = folded(&choice.label);
            let by_number = number == Some(*place) || answer == format!("{place}. {label}");
            answer == label || (by_number && choice.numbered)
        });
        match (hits.next(), hits.next()) {
            (Some((choice, _)), None) => Some(choice),
            _ => None,
        }
    }
}

fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// A number of up to three digits, in any script that has its own, with a full stop or a bracket
/// behind it or not.
fn number(text: &str) -> Option<usize> {
    let digits = text.strip_suffix(['.', ')']).unwrap_or(text);
    if digits.is_empty() || digits.chars().count() > 3 {
        return None;
    }
    digits.chars().try_fold(0, |sum, c| Some(sum * 10 + digit(c)?))
}

/// The value of a decimal digit: ASCII, Arabic-Indic, Persian, Devanagari, Bengali, Thai or
/// full-width. These are the blocks of Unicode's `Nd` that keyboards of large languages type.
fn digit(c: char) -> Option<usize> {
    const ZEROS: [char; 7] =
        ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{ff10}'];
    let value = |zero: char| u32::from(c).checked_sub(u32::from(zero)).filter(|value| *value < 10);
    ZEROS.into_iter().find_map(value).and_then(|value| usize::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(labels: &[&str]) -> Offer {
        let option = |label: &&str| Choice {
            kind: OptionKind::Button,
            label: (*label).into(),
            payload: format!("payload of {label}").into(),
            numbered: true,
        };
        Offer { options: labels.iter().map(option).collect() }
    }

    fn place(offer: &Offer, answer: &str) -> Option<usize> {
        let chosen = offer.chosen(answer)?;
        offer.options.iter().position(|choice| choice == chosen)
    }

    #[test]
    fn a_number_a_label_or_the_whole_line_names_an_option() {
        let offer = offer(&["Yes", "Straße 3", "نعم", "👍"]);
        for (answer, expected) in [
            ("1", 0),
            (" 2.\n", 1),
            ("3)", 2),
            ("٣", 2),
            ("४", 3),
            ("４", 3),
            ("yes", 0),
            ("STRAßE 3", 1),
            ("\u{a0}نعم ", 2),
            ("👍", 3),
            ("2. Straße 3", 1),
        ] {
            assert_eq!(place(&offer, answer), Some(expected), "{answer}");
        }
        for answer in
            ["", "0", "5", "1.1", "1 2", "01x", "yes!", "ye", "one", "-1", "999999999", "1. نعم"]
        {
            assert_eq!(place(&offer, answer), None, "{answer}");
        }
    }

    #[test]
    fn an_answer_that_fits_two_options_fits_none() {
        assert_eq!(place(&offer(&["2", "1"]), "1"), None, "a number and a label");
        assert_eq!(place(&offer(&["More", "more "]), "more"), None, "the same label twice");
        assert_eq!(place(&offer(&["1", "Two"]), "1"), Some(0), "both name the same option");
    }

    #[test]
    fn a_number_that_the_customer_does_not_read_means_nothing() {
        let mut offer = offer(&["Yes", "No"]);
        offer.options.iter_mut().for_each(|choice| choice.numbered = false);
        assert_eq!((place(&offer, "2"), place(&offer, "no")), (None, Some(1)));
    }

    #[test]
    fn only_an_offer_of_a_sensible_size_is_kept() {
        let kept = |labels: &[&str]| offer(labels).bounded().options.len();
        assert_eq!(kept(&["Yes"]), 1);
        assert_eq!(kept(&["x"; MAX_OPTIONS]), MAX_OPTIONS);
        assert_eq!(kept(&["x"; MAX_OPTIONS + 1]), 0);
        assert_eq!(kept(&[&"x".repeat(MAX_BYTES)]), 0);
    }
}
