//! Every good form of `#[spanwise::main]`, beside the function of the same name.

/// Has a comment, and an error of its own.
#[spanwise::main]
pub(super) async fn main() -> Result<(), std::io::Error> {
    if std::env::args().next().is_none() {
        return Err(std::io::Error::other("no name"));
    }
    tokio::task::yield_now().await;
    std::env::current_dir()?;
    Ok(())
}

pub(super) mod with_our_error {
    #[spanwise::main]
    pub(crate) async fn main() -> spanwise::Result<()> {
        spanwise::resume::<()>("none").await?.output().await
    }
}

pub(super) fn calls() {
    // The function is there as before; a program that ends without `init` has nothing to shut down.
    let code = spanwise::main(std::future::ready(Ok(())));
    assert_eq!(code, spanwise::ExitCode::SUCCESS);
    assert_eq!(main(), spanwise::ExitCode::SUCCESS);
    assert_eq!(with_our_error::main(), spanwise::ExitCode::FAILURE);
}
