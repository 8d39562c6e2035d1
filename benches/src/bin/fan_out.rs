//! A program whose task calls as many children at once as its argument says, on the server that `SPANWISE_ENDPOINT` names: each is a
//! process. Prints the seconds that the run took, without the upload of the program.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Instant;

use spanwise_benches::tasks::fan_out;

fn main() -> std::process::ExitCode {
    spanwise::main(async {
        spanwise::init().await?;
        let count: i64 = std::env::args().nth(1).unwrap_or_default().parse()?;
        // The first run uploads the program.
        spanwise::with_runcontext().run(fan_out(0)).await?.output().await?;
        let begin = Instant::now();
        let sum = spanwise::with_runcontext().run(fan_out(count)).await?.output().await?;
        assert_eq!(sum, count * (count - 1) / 2);
        println!("{}", begin.elapsed().as_secs_f64());
        Ok(())
    })
}
