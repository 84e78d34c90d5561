//! Mistakes in default bodies are the compiler's to report, at the user's expressions.
use rpc_core::rpc_client;

#[rpc_client]
trait Contract {
    async fn wrong_type(&self) -> rpc_core::Result<u32> {
        Ok("text") //~ ERROR mismatched types
    }

    async fn wrong_argument(&self, n: u32) -> rpc_core::Result<u32> {
        self.wrong_argument(m).await //~ ERROR cannot find value `m` in this scope
    }

    async fn not_send(&self) -> rpc_core::Result<()> { //~ ERROR future cannot be sent between threads safely
        let local = std::rc::Rc::new(1);
        self.wrong_type().await?;
        drop(local);
        Ok(())
    }
}

fn main() {}
