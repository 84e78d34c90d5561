//! A program into which no service is linked.

use rpc_server::Server;

#[tokio::test]
async fn the_error_explains_that_crates_must_be_named() {
    let error = Server::builder().registry("memory://nothing").start().await.unwrap_err();
    assert!(error.to_string().contains("`use your_crate as _;`"), "{error}");
    let only = Server::builder().registry("memory://nothing").only(["demo.Chat"]);
    let error = only.start().await.unwrap_err();
    assert!(error.to_string().contains("demo.Chat"), "{error}");
    assert!(error.to_string().contains("`use your_crate as _;`"), "{error}");
}
