#[rpc_client]
trait Greeter {
    #[rpc(idempotent)]
    fn greet(&mut self) -> rpc_core::Result<()>;
}
