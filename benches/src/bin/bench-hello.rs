//! The hello world whose start is measured. With `long` it is a run that is killed, and resumed by the next start.
#![expect(clippy::print_stdout, reason = "the benchmark waits for the line")]

use std::sync::LazyLock;

use spanwise::{TaskEnvironment, task, trace};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("hello"));

#[task(env = ENV)]
async fn greet(name: String) -> spanwise::Result<String> {
    Ok(format!("Hello, {name}!"))
}

#[task(env = ENV)]
async fn hello(name: String) -> spanwise::Result<String> {
    greet(name).await
}

/// Prints that it was reached, then waits to be killed.
#[trace]
async fn new_step() -> spanwise::Result<()> {
    println!("new step");
    std::future::pending().await
}

#[task(env = ENV)]
async fn long(children: i64) -> spanwise::Result<()> {
    for index in 0..children {
        greet(index.to_string()).await?;
    }
    new_step().await
}

fn main() -> spanwise::ExitCode {
    spanwise::main(async {
        spanwise::init().await?;
        if std::env::args().nth(1).as_deref() == Some("long") {
            return spanwise::with_runcontext().name("long").run(long(200)).await?.output().await;
        }
        let run = spanwise::with_runcontext().run(hello("world".to_owned())).await?;
        println!("{}", run.output().await?);
        Ok(())
    })
}
