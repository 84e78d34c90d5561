use rpc_core::{rpc_client, rpc_service};

/// Says hello.
#[rpc_client(version = "2", timeout = "1s")]
pub trait Greeter {
    /// Greets somebody.
    #[rpc(idempotent, hash_key = name)]
    async fn greet(&self, name: String, title: Option<&str>) -> Result<Greeting, GreetError>;

    /// Answers.
    async fn ping(&self) -> rpc_core::Result<()> {
        Ok(())
    }
}

#[rpc_service]
impl Greeter for Polite {
    async fn greet(&self, name: String, title: Option<&str>) -> Result<Greeting, GreetError> {
        todo!()
    }
}
