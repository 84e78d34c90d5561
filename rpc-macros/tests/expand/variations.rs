#[rpc_core::rpc_client(name = "shop.Orders", codec = "compact")]
#[cfg(feature = "shop")]
pub(crate) trait Orders: Named {
    #[cfg(unix)]
    #[rpc(name = "put", timeout = "200ms")]
    #[deprecated]
    async fn r#final(&self, mut r#type: &[u8]) -> rpc_core::Result<()> {
        r#type = &[];
        self.put(r#type).await
    }
}

#[rpc_core::rpc_service(init = Self::open)]
impl Orders for Shop {}
