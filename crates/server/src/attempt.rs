//! Attempts as processes of this machine: what the engine asks for, done with `process`, and judged by the files that are left.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use spanwise_blobs::Blobs;
use spanwise_core::{ActionName, AttemptNo, Failure, FailureKind, Phase, RunId};
use spanwise_engine::{Attempt, Executor, Report, RunHandle, RunKey};
use spanwise_process as process;
use spanwise_process::environments::Environments;
use spanwise_process::roots::Roots;
use spanwise_process::{Claim, Hidden, Launch, Logs, Process, ProcessId, Runner};
use spanwise_wire::inputs;
use spanwise_wire::task::{CORE_SLEEP, IMAGE_BUILD, Program};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::definitions::Definitions;
use crate::layout::{self, DataDir};
use crate::queues;
use crate::readiness::Readiness;
use crate::secrets::Secrets;

mod artifacts;
mod begun;
mod charge;
mod container;
pub(crate) mod contract;
mod defined;
mod devices;
mod entry;
mod files;
mod image;
mod launcher;
mod memory;
mod programs;
mod refusals;
mod results;
mod secrets;
mod signs;
mod stand_in;
pub(crate) mod trouble;
mod verdict;

pub use container::can_run_containers;
pub(crate) use contract::exporter_defaults;
pub(crate) use entry::SERVE;
pub(crate) use image::{LIMIT as BUILD_LIMIT, plan as plan_of_image};
pub use launcher::BESIDE_SDK;
pub(crate) use launcher::{Launcher, PythonEnvironment};
pub(crate) use memory::limits as memory_limits;
pub(crate) use programs::Programs;
pub(crate) use refusals::Refusals;
pub(crate) use secrets::{Values, hidden};
use signs::Sign;
pub(crate) use signs::SignsOfLife;

use charge::Charge;
use contract::{Contract, FileUris};
pub(crate) use devices::Devices;
use files::Files;
use trouble::{bad_task, damaged, patiently, stopped_by, system, undefined, unstored};
use verdict::Evidence;

/// What errors say was attempted when a claim is read.
const READ_CLAIM: &str = "read the attempt's claim";

/// How much of a log an error message shows.
const LAST_LINES: usize = 4096;

/// What every attempt needs.
pub(crate) struct Shared {
    pub(crate) blobs: Blobs,
    pub(crate) definitions: Definitions,
    pub(crate) data: DataDir,
    pub(crate) logs: Arc<dyn Logs>,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) secrets: Secrets,
    pub(crate) launcher: Arc<Launcher>,
    pub(crate) programs: Programs,
    pub(crate) roots: Roots,
    pub(crate) signs: SignsOfLife,
    pub(crate) refusals: Refusals,
    pub(crate) readiness: Readiness,
    pub(crate) devices: Devices,
    /// Where the server listens, as `host:port`.
    pub(crate) endpoint: String,
    /// Where tasks send their spans unless something else says so.
    pub(crate) defaults: Vec<(String, String)>,
    /// How long a task may take to end after SIGTERM.
    pub(crate) grace: Duration,
    /// Processes that are being stopped.
    pub(crate) stopping: TaskTracker,
}

/// Runs attempts as processes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ProcessExecutor {
    shared: Arc<Shared>,
}

impl ProcessExecutor {
    pub(crate) fn new(shared: Shared) -> ProcessExecutor {
        ProcessExecutor { shared: Arc::new(shared) }
    }

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.shared.refusals
    }

    pub(crate) fn logs(&self) -> &dyn Logs {
        &*self.shared.logs
    }

    pub(crate) fn environments(&self) -> &Environments {
        self.shared.launcher.environments()
    }

    /// Starts the warm interpreter ahead of the first task, in the background.
    pub(crate) fn warm_up(&self) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move { shared.launcher.prepare(&*shared.runner).await });
    }

    /// Whether an attempt of an action has left its result.
    pub(crate) async fn has_result(&self, run: &RunId, key: RunKey, action: &ActionName, number: AttemptNo) -> bool {
        let Ok(directory) = layout::attempt(run, action, number) else { return false };
        let claim = self.shared.data.process_file(key, action, number);
        results::are_there(&self.shared.blobs, &claim, &directory).await
    }

    /// Whether an action is of a task that produces artifacts, and has succeeded.
    pub(crate) fn has_produced(&self, run: &RunHandle, action: ActionName) -> bool {
        let found = run.action(&action).filter(|action| action.phase() == Phase::Succeeded);
        let program = found.and_then(|action| self.shared.definitions.program(&action.spec).ok());
        program.is_some_and(|program| program.produces_artifacts)
    }

    /// Removes the working directory of a run that has ended, if nothing is in it: a claim that is there still says that its attempt
    /// may be looked for.
    pub(crate) fn remove_empty_work(&self, run: &RunHandle) {
        if run.is_finished() {
            layout::remove_empty(&self.shared.data.work_of_run(run.key()));
        }
    }

    /// Returns when nobody has an attempt any more, and every process whose attempt was cut short has ended.
    pub(crate) async fn stopped(&self) {
        self.shared.stopping.close();
        self.shared.stopping.wait().await;
    }
}

impl Executor for ProcessExecutor {
    fn execute(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Report> + Send>> {
        let shared = Arc::clone(&self.shared);
        // Lines of the log say which attempt they are about. The span has the highest level, so that no filter takes it from a warning.
        let of = tracing::error_span!(
            "attempt",
            run = %attempt.run.id().name,
            action = %attempt.scope.action,
            attempt = attempt.scope.attempt.0,
            trace_id = attempt.span.map(|span| tracing::field::display(span.trace)),
            span_id = attempt.span.map(|span| tracing::field::display(span.span)),
        );
        let report = async move { shared.run(attempt).await.unwrap_or_else(stopped_by) };
        Box::pin(report.instrument(of))
    }

    fn starts_at_once(&self) -> bool {
        false
    }

    /// The caller is another process: it reads the outputs where those of the first attempt would be.
    fn deliver<'a>(
        &'a self,
        run: &'a RunHandle,
        action: ActionName,
        outputs: &'a Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            let directory = layout::attempt(run.id(), &action, AttemptNo(1)).and_then(|uri| uri.join("outputs.pb"));
            let failed =
                |error: &dyn std::error::Error| Failure { recoverable: true, ..damaged("deliver outputs", error) };
            let uri = directory.map_err(|error| failed(&error))?;
            self.shared.blobs.put(&uri, outputs.clone()).await.map_err(|error| failed(&error))?;
            Ok(())
        })
    }
}

impl Shared {
    async fn run(self: Arc<Self>, attempt: Attempt) -> Result<Report, Failure> {
        let (run, action, number) = (&attempt.run, attempt.scope.action, attempt.scope.attempt);
        let files = Files::of(&self.data, run, &action, number);
        // From the beginning: a process that an earlier server has started must not go on beside the next attempt.
        let mut charge = Charge::of(&self, &attempt, &files);
        let existing = run.action(&action);
        let spec = existing.ok_or_else(|| Failure::system("SystemError", "the action is not known").terminal())?.spec;
        let program = self.program_of(run, &spec)?;
        let (run_started_at, endpoint) = (run.start_time(), self.endpoint.as_str());
        let contract =
            Contract { run: run.id(), action: &action, attempt: number, previous: None, run_started_at, endpoint };
        let uris = contract.file_uris().map_err(|error| damaged("name the attempt's files", &error))?;
        if program.task_type == CORE_SLEEP {
            charge.leave();
            return Err(self.no_timer(&spec, &attempt.inputs));
        }
        if program.task_type == IMAGE_BUILD {
            charge.leave();
            return self.build_image(&attempt, &uris, &files).await;
        }
        // Before the process is started: its first read must not be missed.
        let sign = self.signs.of(uris.inputs.key());
        let values = self.values_of(&attempt, &program).await;
        let hidden = hidden(&values);
        charge.records(self.record(&files, &hidden, attempt.adopted).await?);
        let refused = self.refusals.of(run.key(), action);
        let (launched, badly) = self.process_of(&attempt, (&program, &values), contract, &files).await?;
        let _root = self.root_in_use(&program);
        let ending = match launched {
            Some(process) => {
                container::began(&attempt, &program);
                self.watch(&attempt, process, (sign, &hidden), &files, &mut charge).await
            }
            None => process::Ending::Gone,
        };
        let ending = self.end_of_container((&program, ending), &uris, &files).await;
        self.hide_last(&files, &hidden).await;
        charge.ended();
        attempt.scope.report_ended();
        // From here on, what the machine cannot do for now must not become a report: the next attempt would run the body again.
        let ran_out = self.end_remains(&files, &program).await;
        let last_lines = self.logs.last_lines(&files.log, LAST_LINES).await.unwrap_or_default();
        let beginning = patiently(READ_CLAIM, || self.runner.beginning_of(&files.process)).await;
        if self.is_of_this_boot(&files).await {
            results::deliver(&self.blobs, &files.process, &uris.outputs).await;
        }
        let read = || verdict::read(&self.blobs, &uris.outputs);
        let left = patiently("read what the attempt has left", read).await;
        let lost = results::lost(&files.process).filter(|_| !left.has_outputs());
        charge.reported();
        tracing::info!(?ending, ?beginning, "the process of an attempt has ended");
        if let Some(lost) = lost {
            return Ok(lost);
        }
        let (has_outputs, last_lines) = (program.has_outputs, last_lines.as_str());
        let report = verdict::judge(left, &Evidence { beginning, ending, has_outputs, last_lines, refused: &refused });
        let report = container::named(begun::judged(report, badly)?, &program, last_lines);
        let report = self.with_artifacts(&attempt, &program, report, &files).await;
        Ok(secrets::masked(memory::named(report, program.memory_limit.as_ref(), ran_out), &hidden))
    }

    /// Hides what was said after the end was seen.
    async fn hide_last(&self, files: &Files, hidden: &Hidden) {
        if let Ok(recording) = self.logs.record_hiding(&files.log, hidden.clone()).await {
            recording.finish().await;
        }
    }

    /// The process of an attempt: the one that has claimed it, or a new one; none if it has ended. With it the failure of the launch, if it failed.
    async fn process_of(
        &self,
        attempt: &Attempt,
        (program, values): (&Program, &Result<Values, Failure>),
        contract: Contract<'_>,
        files: &Files,
    ) -> Result<(Option<Process>, Option<Failure>), Failure> {
        Ok(match self.claimed(files, attempt.adopted).await? {
            Claim::Process(id) => (self.adopt(&id).await, None),
            Claim::GivenUp => {
                self.end_python(program, files).await;
                (None, None)
            }
            Claim::Free => match self.launch_in_time(attempt, (program, values), contract, files).await {
                Ok(process) => (Some(process), None),
                Err(failure) => (begun::all_the_same(&*self.runner, &files.process, &failure).await?, Some(failure)),
            },
        })
    }

    /// Waits for the process's end and passes its first sign of life on.
    async fn watch(
        self: &Arc<Self>,
        attempt: &Attempt,
        process: Process,
        (mut sign, hidden): (Sign, &Hidden),
        files: &Files,
        charge: &mut Charge,
    ) -> process::Ending {
        let (action, number) = (attempt.scope.action, attempt.scope.attempt);
        charge.began(&process);
        let recording = self.logs.record_hiding(&files.log, hidden.clone()).await;
        let ending = loop {
            tokio::select! {
                biased;
                ending = process.wait() => break ending,
                () = sign.seen() => attempt.run.report_started(action, number),
            }
        };
        if let Ok(recording) = recording {
            recording.finish().await;
        }
        ending
    }

    /// The attempt whose checkpoint is the last one: attempts that never began have none, and take nothing from those before. Without
    /// any it is the attempt before.
    async fn previous(&self, run: &RunId, action: &ActionName, number: AttemptNo) -> Option<AttemptNo> {
        for attempt in (1..number.0).rev().map(AttemptNo) {
            if let Ok(uri) = contract::checkpoint(run, action, attempt)
                && self.blobs.exists(&uri).await.unwrap_or(false)
            {
                return Some(attempt);
            }
        }
        (number.0 > 1).then(|| AttemptNo(number.0 - 1))
    }

    /// Which process has the attempt. An earlier server may have started a process for it, whether or not it came to note that in the journal; an
    /// attempt that it launched and for which nobody has a claim is given up.
    async fn claimed(&self, files: &Files, adopted: bool) -> Result<Claim, Failure> {
        if !adopted {
            return self.runner.claim_of(&files.process).await.map_err(|error| system(READ_CLAIM, &error));
        }
        let claim = || patiently(READ_CLAIM, || self.runner.claim_of(&files.process));
        let claimed = claim().await;
        if claimed == Claim::Free && patiently("give an attempt up", || self.runner.give_up(&files.process)).await {
            return Ok(Claim::GivenUp);
        }
        Ok(if claimed == Claim::Free { claim().await } else { claimed })
    }

    /// Launches when there is room for what a process needs to begin: a full disk costs no attempt. An attempt that was claimed is not launched
    /// again.
    async fn launch_in_time(
        &self,
        attempt: &Attempt,
        (program, values): (&Program, &Result<Values, Failure>),
        contract: Contract<'_>,
        files: &Files,
    ) -> Result<Process, Failure> {
        let previous = self.previous(contract.run, contract.action, contract.attempt).await;
        let contract = Contract { previous, ..contract };
        let uris = contract.file_uris().map_err(|error| damaged("name the attempt's files", &error))?;
        loop {
            self.readiness.room().await;
            let failure = match self.launch(attempt, (program, values), &contract, &uris, files).await {
                Ok(process) => return Ok(process),
                Err(failure) => failure,
            };
            let may_try_again = failure.kind == FailureKind::System
                && matches!(self.runner.claim_of(&files.process).await, Ok(Claim::Free));
            if !may_try_again || self.readiness.check_now().await.is_ok() {
                return Err(failure);
            }
        }
    }

    /// Finds the process of an attempt; none if it has ended.
    async fn adopt(&self, id: &ProcessId) -> Option<Process> {
        adopt(&*self.runner, id).await
    }

    /// Kills what the attempt has left outside of its process group. True if it has used more memory than it may.
    async fn end_remains(&self, files: &Files, program: &Program) -> bool {
        let (claim, runner) = (files.process.clone(), Arc::clone(&self.runner));
        // Nobody counts for those that have no limit.
        let ran_out = program.memory_limit.is_some() && runner.ran_out_of_memory(&claim).await;
        self.stopping.spawn(async move { runner.end_remains(&claim).await });
        ran_out
    }

    /// False if the machine has gone down since the process began: what it left may not have reached the disk.
    async fn is_of_this_boot(&self, files: &Files) -> bool {
        let claim = patiently(READ_CLAIM, || self.runner.claim_of(&files.process)).await;
        matches!(claim, Claim::Process(id) if id.is_of_this_boot())
    }

    async fn launch(
        &self,
        attempt: &Attempt,
        (program, values): (&Program, &Result<Values, Failure>),
        contract: &Contract<'_>,
        uris: &FileUris,
        files: &Files,
    ) -> Result<Process, Failure> {
        if let Some(why) = &program.refused {
            return Err(bad_task(format!("`{}`: {why}", program.name)));
        }
        let values = values.as_ref().map_err(Failure::clone)?;
        if let Some(task) = &program.container {
            return self.launch_container(attempt, (program, task, values), contract, uris, files).await;
        }
        let delivered = inputs::delivered(&attempt.inputs, attempt.span);
        let (delivered, context) = delivered.map_err(|error| damaged("read the frozen inputs", &error))?;
        self.deliver_inputs(delivered, uris).await?;
        files.make().map_err(|error| system("make the attempt's directory", &error))?;
        self.make_python(program, files).await?;
        let python = self.launcher.environment(program).await?;
        python.bring_files(&files.work).await.map_err(|error| system("copy the files of the image", &error))?;
        let spec = attempt.run.action(&attempt.scope.action).map(|action| action.spec);
        let no_queue = queues::not_there(attempt.run.engine(), spec.as_ref().and_then(|spec| spec.queue.as_deref()));
        let not_honoured = program.not_honoured.iter().chain(&no_queue).map(|said| format!("warning: {said}"));
        for note in not_honoured.chain(values.not_hidden()).chain(python.notes().iter().cloned()) {
            let noted = self.logs.append(&files.log, &note).await;
            noted.map_err(|error| system("write to the attempt's log", &error))?;
        }
        let (options, defaults) = self.settings_of(&attempt.run)?;
        let secrets = values.given((&*self.runner, self.data.mounts())).await?;
        let layers = vec![
            python.variables(self.launcher.inherited().for_task()),
            python.env(),
            defaults.env.clone().into_iter().collect(),
            program.env.clone(),
            options.env.clone().into_iter().collect(),
            secrets.variables,
            contract.variables(uris, &context),
        ];
        let mut env = contract::merge(contract::with_defaults(layers, &self.endpoint, self.defaults.clone()));
        self.devices.add_to(&mut env, &files.process, spec.map_or(0, |spec| spec.needs.gpu)).await?;
        let mut argv = contract.fill(&program.argv, uris);
        if let Some(file) = self.programs.file(&argv[0]).await? {
            argv[0] = file.display().to_string();
        }
        let launch = Launch {
            argv,
            env,
            directory: files.work.clone(),
            log: files.log.clone(),
            limits: memory::limits(program),
            claim: Some(files.process.clone()),
            mounted: secrets.files,
            container: None,
        };
        self.launcher.start(&*self.runner, &python, launch).await
    }

    /// Writes the inputs where the process looks for them. They are the frozen ones, whatever a later attempt of the parent may
    /// have written in their place (semantics S1.5).
    async fn deliver_inputs(&self, inputs: Bytes, uris: &FileUris) -> Result<(), Failure> {
        self.blobs.put(&uris.inputs, inputs).await.map_err(|error| unstored("deliver inputs", &error))?;
        Ok(())
    }
}

async fn adopt(runner: &dyn Runner, id: &ProcessId) -> Option<Process> {
    patiently("look for the process of an attempt", || runner.adopt(id)).await
}
