//! Starts the demo's three servers on loopback, and connects them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use connector::http::{BaseUrl, HttpConfig, Secret, Secrets};
use connector::{ContentKinds, MediaRange};
use conversation::{Clock, IntegrationName, Policy};
use gateway::{
    DetectEnd, Gateway, Limits, Listeners, NoticeTexts, Operators, SystemClock, ThisMachine,
};
use genesys::{Credentials, Hosts};
use sandbox::{Handle, NewIntegration, Running, Sandbox, SandboxConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use url::Url;

use super::chat::Chat;
use super::scene::{HANDSHAKE, HOLD, NAME};
use super::{page, transcript};
use crate::config;
use crate::failure::Failure;
use crate::wiring;

// These secrets are used only between the parts of one process on loopback, so they need not be
// secret.
const WEBHOOK_SECRET: &str = "demo-webhook-secret-0123456789";
const CONNECTOR_SECRET: &str = "whsec_dGlkZWdhdGUtZGVtby1jb25uZWN0b3Itc2VjcmV0";

/// The running demo.
pub(super) struct Stage {
    pub(super) genesys: Handle,
    /// How far the printed lines are: see [`transcript::print_ticks`].
    pub(super) printed: watch::Receiver<u64>,
    pub(super) chat: Arc<Chat>,
    /// The store's URL.
    pub(super) store: String,
    gateway: Gateway,
    sandbox: Running,
    listener: AbortHandle,
}

impl Stage {
    pub(super) async fn set(store: Option<String>) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let url = store.unwrap_or_else(|| new_store(&clock));
        let store = wiring::store(&url, config::sections::TAKEOVER).await?;

        let port = || SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let cannot = |error| Failure::failed("the demo cannot listen on loopback", error);
        let for_gateway = TcpListener::bind(port()).await.map_err(cannot)?;
        let for_chat = TcpListener::bind(port()).await.map_err(cannot)?;
        let gateway_url = format!("http://{}", for_gateway.local_addr().map_err(cannot)?);
        let chat_url = format!("http://{}", for_chat.local_addr().map_err(cannot)?);

        let sandbox = Sandbox::start(SandboxConfig { listen: port(), ..SandboxConfig::default() })
            .await
            .map_err(|error| Failure::failed("the sandbox does not start", error))?;
        let genesys = sandbox.handle.clone();
        let printed = transcript::print_ticks(&genesys);
        let integration_id = genesys
            .create_integration(NewIntegration {
                name: NAME.into(),
                webhook_url: format!("{gateway_url}/genesys/{NAME}"),
                secret: WEBHOOK_SECRET.into(),
                headers: vec![],
            })
            .map_err(|error| {
                Failure::failed("the sandbox refuses the demo's integration", error)
            })?;

        let secrets = secrets()?;
        let chat = Chat::new(
            secrets.clone(),
            format!("{gateway_url}/connectors/{NAME}/events"),
            Arc::clone(&clock),
        )?;
        let listener = chat.listen(for_chat, page::routes());

        let integration = integration(&sandbox, integration_id, &chat_url, secrets)?;
        let integration = wiring::integration(
            integration,
            &wiring::genesys_clients()?,
            &wiring::connector_clients()?,
            &clock,
            &wiring::KeptFiles::default(),
        );
        let listeners = Listeners { public: for_gateway, admin: None };
        let of_store = wiring::clock_of(store.as_ref(), Arc::new(ThisMachine)).await?;
        let gateway = Gateway::start(
            listeners,
            vec![integration],
            store,
            of_store,
            Limits::default(),
            &Operators::default(),
        )
        .map_err(|error| Failure::failed("the gateway does not start", error))?;
        Ok(Self { genesys, printed, chat, store: url, gateway, sandbox, listener })
    }

    /// What a person can do with a running demo.
    pub(super) fn invitation(&self) -> String {
        let (gateway, sandbox, chat) =
            (self.gateway.address, self.sandbox.url(), &self.chat.address());
        format!(
            "Tidegate is running. Open the first two pages side by side, and the third to see \
             what became of each message:\n\n  \
             the agent's desktop    {sandbox}/desktop\n  \
             the customer's chat    http://{chat}/\n  \
             the operators' console http://{gateway}/console\n\n\
             The chat service's handshake takes {HANDSHAKE:?}; for customers whose name begins with `never` it never \
             ends.\nThe gateway is at http://{gateway}. The same from a shell:\n  \
             curl http://{chat}/customers/noor/say -d '{{\"text\":\"Where is my parcel?\"}}'\n  \
             curl {sandbox}/sandbox/agent/send \
             -d '{{\"integration\":\"{NAME}\",\"customer\":\"noor\",\"text\":\"I am looking.\"}}'\n\n\
             Ctrl-C ends it. What happens:\n"
        )
    }

    pub(super) async fn clear(self) {
        self.gateway.shutdown().await;
        self.listener.abort();
        self.sandbox.shutdown().await;
    }
}

/// The gateway's integration with the sandbox and the demo's chat service.
fn integration(
    sandbox: &Running,
    integration_id: String,
    chat_url: &str,
    secrets: Secrets,
) -> Result<config::Integration, Failure> {
    let shown = ["QuickReply", "Card", "Carousel"];
    let mut policy = Policy { service_reports: true, ..Policy::default() };
    policy.hold.limit = HOLD;
    let api: Url = sandbox
        .url()
        .parse()
        .map_err(|error| Failure::failed("the sandbox has no address", error))?;
    let clients = SandboxConfig::default().clients.into_iter();
    let base = chat_url.parse().ok().and_then(|url| BaseUrl::new(url).ok());
    let base =
        base.ok_or_else(|| Failure::failed("the demo's chat service has no address", chat_url))?;
    Ok(config::Integration {
        name: IntegrationName::new(NAME),
        hosts: Hosts { api: api.clone(), login: api },
        integration_id,
        clients: clients.map(|(id, secret)| Credentials { id, secret: secret.into() }).collect(),
        webhook_secrets: vec![WEBHOOK_SECRET.into()],
        policy,
        fallback: connector::Fallback::default(),
        notices: NoticeTexts::default(),
        detect_end: DetectEnd::Notifications { poll: Duration::from_mins(1) },
        // What the demo's page shows itself. Other content becomes text.
        connector: Arc::new(HttpConfig {
            reports_delivery: true,
            media: vec![MediaRange::any()],
            content: ContentKinds::Only(shown.map(str::to_owned).into()),
            ..HttpConfig::new(base, secrets)
        }),
    })
}

/// The secrets for signatures between the gateway and the demo's chat service.
fn secrets() -> Result<Secrets, Failure> {
    let secret: Secret = CONNECTOR_SECRET
        .parse()
        .map_err(|error| Failure::failed("the demo's own secret is wrong", error))?;
    Ok(Secrets::from(secret))
}

/// A new file for each run, which is kept for the audit.
fn new_store(clock: &Arc<dyn Clock>) -> String {
    let name = format!("tidegate-demo-{}.db", clock.now().as_millisecond());
    format!("sqlite:{}", std::env::temp_dir().join(name).display())
}
