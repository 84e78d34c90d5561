//! What most faults are done to: three providers, a client that has reached them, and a steady
//! load on it.

use crate::scene::{Provider, Scene, load, until_reached};
use rpc_client::Client;
use rpc_testkit::load::Load;

/// Three providers under a steady load.
pub(crate) struct Steady {
    pub(crate) providers: [Provider; 3],
    pub(crate) client: Client,
    pub(crate) load: Load,
}

impl Scene {
    /// Three providers and a client that find each other through `registry`.
    pub(crate) async fn steady(&self, registry: &str) -> Steady {
        self.steady_between(registry, registry).await
    }

    /// The same, with a way to the registry for the providers and one for the client.
    pub(crate) async fn steady_between(&self, providers: &str, client: &str) -> Steady {
        let providers = self.three(providers).await;
        let client = Client::connect(client).await.unwrap();
        until_reached(&client, 3).await;
        let load = load(&client, 5);
        Steady { providers, client, load }
    }
}

impl Steady {
    /// Ends the load: no call has failed, what the handlers wrote down agrees, and the client has
    /// kept its connections and sent nothing twice.
    pub(crate) async fn undisturbed(self, scene: &Scene) {
        scene.none_failed(self.load).await;
        let stats = self.client.stats();
        assert_eq!((stats.dials, stats.moves, stats.retries), (3, 0, 0), "nothing was disturbed");
    }
}
