// The client of the examples in the documentation, which include this file. Its transport answers
// by itself, so that the examples need no network.

struct Canned;

impl genesys::Transport for Canned {
    fn exchange<'a>(
        &'a self,
        request: http::Request<Vec<u8>>,
        _: std::time::Duration,
        may_leave: &'a genesys::MayLeave,
    ) -> genesys::Exchange<'a> {
        Box::pin(async move {
            may_leave.ask()?;
            let path = request.uri().path();
            let token = path == "/oauth/token";
            let body = if token { r#"{"access_token":"t"}"# } else { r#"{"id":"an id"}"# };
            Ok(http::Response::new(Ok(body.into())))
        })
    }
}

fn canned_client() -> genesys::Client {
    let hosts = genesys::Hosts::of_region("mypurecloud.com").expect("it is a known region");
    let credentials = genesys::Credentials { id: "client".to_owned(), secret: "s".into() };
    genesys::Client::over(std::sync::Arc::new(Canned), hosts, credentials)
}
