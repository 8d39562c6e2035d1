//! S1: the custom context crosses every border, and only where it should.

use spanwise::{CustomContext, Error, ErrorKind, Overrides, ctx, custom_context, map, task};

use crate::{ENV, memory};

fn pairs(context: &CustomContext) -> String {
    context.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// What a child sees.
#[task(env = ENV)]
pub(crate) async fn seen() -> spanwise::Result<String> {
    Ok(pairs(&ctx().custom_context()))
}

#[task(env = ENV)]
fn seen_blocking() -> spanwise::Result<String> {
    Ok(pairs(&ctx().custom_context()))
}

#[task(env = ENV)]
async fn seen_by_item(index: i64) -> spanwise::Result<String> {
    Ok(format!("{index}:{}", pairs(&ctx().custom_context())))
}

#[tokio::test]
async fn s1_1_the_root_sees_exactly_the_map_of_the_run() {
    let run = memory().with_runcontext().custom_context([("team", "a"), ("x", "ü🦀")]).run(seen()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "team=a x=ü🦀");
}

#[tokio::test]
async fn s1_1_outside_a_task_there_is_no_context_and_a_scope_does_nothing() {
    assert!(!ctx().is_task());
    assert_eq!(ctx().task().unwrap_err().kind(), ErrorKind::Usage);
    let inside = custom_context([("a", "1")]).scope(async { ctx().custom_context() }).await;
    assert!(inside.is_empty());
    assert_eq!(custom_context([("a", "1")]).scope(async { seen().await }).await.unwrap(), "");
}

#[task(env = ENV)]
async fn nested_scopes() -> spanwise::Result<Vec<String>> {
    let outer = custom_context([("a", "1"), ("b", "1")]);
    let mut views = vec![seen().await?];
    views.extend(
        outer
            .scope(async {
                let mut views = vec![seen().await?];
                views.push(custom_context([("b", "2")]).scope(seen()).await?);
                views.push(custom_context([("b", "2")]).scope(async { seen().await }).await?);
                views.push(seen().await?);
                Ok::<_, Error>(views)
            })
            .await?,
    );
    views.push(seen().await?);
    Ok(views)
}

#[tokio::test]
async fn s1_2_scopes_nest_the_innermost_wins_and_leaving_restores() {
    let run = memory().with_runcontext().custom_context([("base", "0")]).run(nested_scopes()).await.unwrap();
    let views = run.output().await.unwrap();
    // The call in `scope(seen())` is written outside the inner scope, so it carries the outer one.
    let expected = ["base=0", "base=0 a=1 b=1", "base=0 a=1 b=1", "base=0 a=1 b=2", "base=0 a=1 b=1", "base=0"];
    assert_eq!(views, expected);
}

#[task(env = ENV)]
async fn restored_after() -> spanwise::Result<Vec<String>> {
    let scope = || custom_context([("a", "1")]);
    let failed: Result<(), &str> = scope().scope(async { Err("no") }).await;
    assert!(failed.is_err());
    let panicked = spanwise::spawn(scope().scope(async { panic!("on purpose") })).await;
    assert!(panicked.is_err());
    let cut =
        tokio::time::timeout(std::time::Duration::from_millis(1), scope().scope(std::future::pending::<()>())).await;
    assert!(cut.is_err());
    Ok(vec![seen().await?])
}

#[tokio::test]
async fn s1_2_leaving_by_error_panic_or_cancellation_restores() {
    let run = memory().with_runcontext().run(restored_after()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), [""]);
}

#[task(env = ENV)]
async fn calls_made_in_a_scope() -> spanwise::Result<Vec<String>> {
    let (spawned, joined, in_set) =
        custom_context([("k", "in")]).sync_scope(|| (seen(), seen_by_item(1), seen_by_item(2)));
    let mut set = tokio::task::JoinSet::new();
    set.spawn(in_set);
    let spawned = tokio::spawn(spawned);
    let (joined, outside) = tokio::join!(joined, seen_by_item(3));
    let from_set = set.join_next().await.unwrap()??;
    Ok(vec![spawned.await??, joined?, outside?, from_set])
}

#[tokio::test]
async fn s1_3_a_call_carries_the_scope_in_which_it_was_written() {
    let run = memory().with_runcontext().run(calls_made_in_a_scope()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), ["k=in", "1:k=in", "3:", "2:k=in"]);
}

#[task(env = ENV)]
async fn everywhere() -> spanwise::Result<Vec<String>> {
    custom_context([("k", "v")])
        .scope(async {
            let mut views = vec![seen_blocking().await?];
            views.extend(map(seen_by_item, 0..2).all().await?);
            views.push(spanwise::spawn_blocking(|| pairs(&ctx().custom_context())).await?);
            views.push(spanwise::spawn(async { seen().await }).await??);
            Ok(views)
        })
        .await
}

#[tokio::test]
async fn s1_4_it_reaches_sync_tasks_map_and_spawned_code() {
    let run = memory().with_runcontext().run(everywhere()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), ["k=v", "0:k=v", "1:k=v", "k=v", "k=v"]);
}

#[task(env = ENV)]
async fn a_view_is_not_the_context() -> spanwise::Result<String> {
    let mut view = ctx().custom_context();
    view.set("mine", "only");
    seen().await
}

#[tokio::test]
async fn s1_4_changing_a_view_changes_nothing_else() {
    let run = memory().with_runcontext().custom_context([("a", "1")]).run(a_view_is_not_the_context()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "a=1");
}

#[task(env = ENV)]
async fn child_that_fails_twice() -> spanwise::Result<String> {
    match ctx().task()?.attempt_number() {
        2 => Ok(pairs(&ctx().custom_context())),
        _ => Err(Error::user("NotYet", pairs(&ctx().custom_context()))),
    }
}

#[task(env = ENV, retries = 1)]
async fn parent_that_fails_once() -> spanwise::Result<String> {
    let attempt = ctx().task()?.attempt_number();
    let seen = custom_context([("attempt", attempt.to_string())])
        .scope(async { child_that_fails_twice().override_with(Overrides::new().retries(2)).await })
        .await?;
    if attempt == 0 { Err(Error::user("Once", "again")) } else { Ok(seen) }
}

#[tokio::test]
async fn s1_5_a_child_keeps_the_map_of_its_first_accepted_enqueue() {
    let run = memory().with_runcontext().custom_context([("a", "1")]).run(parent_that_fails_once()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "a=1 attempt=0");
}

#[tokio::test]
async fn s1_6_a_rerun_reuses_the_map_without_the_trace_and_records_its_source() {
    let client = memory();
    let map =
        [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("baggage", "b=1"), ("team", "a")];
    let first = client.with_runcontext().name("first").custom_context(map).run(seen()).await.unwrap();
    first.output().await.unwrap();
    let again = client.with_runcontext().rerun::<String>("first").await.unwrap();
    assert_eq!(again.output().await.unwrap(), "team=a");
    assert_eq!(again.relation(), Some(&spanwise::Relation::Rerun { run: first.name().clone() }));
    let explicit = client.with_runcontext().custom_context([("new", "1")]).rerun::<String>("first").await.unwrap();
    assert_eq!(explicit.output().await.unwrap(), "new=1");
}

#[task(env = ENV)]
async fn starts_a_run(inner: String) -> spanwise::Result<String> {
    let client = CLIENT.get().unwrap();
    let run = client.with_runcontext().name(inner).custom_context([("b", "inner")]).run(seen()).await?;
    run.output().await
}

static CLIENT: std::sync::OnceLock<spanwise::Client> = std::sync::OnceLock::new();

#[tokio::test]
async fn s1_7_a_run_started_in_a_task_merges_the_maps_and_records_the_relation() {
    let client = CLIENT.get_or_init(memory);
    let context = client.with_runcontext().name("outer").custom_context([("a", "outer"), ("b", "outer")]);
    let outer = context.run(starts_a_run("inner".to_owned())).await.unwrap();
    assert_eq!(outer.output().await.unwrap(), "a=outer b=inner");
    let inner = client.resume::<String>("inner").await.unwrap();
    assert_eq!(inner.relation(), Some(&spanwise::Relation::Spawn { run: outer.name().clone() }));
}

#[task(env = ENV)]
async fn too_many_keys() -> spanwise::Result<String> {
    let many: CustomContext = (0..65).map(|index| (format!("k{index}"), "v")).collect();
    custom_context(many).scope(async { seen().await }).await
}

#[tokio::test]
async fn s1_9_a_map_over_its_limits_is_a_typed_error_at_the_call() {
    let client = memory();
    let inside = client.with_runcontext().run(too_many_keys()).await.unwrap().output().await.unwrap_err();
    assert_eq!(inside.code(), "ContextError");
    assert!(inside.message().contains("65 keys, the limit is 64"), "{inside}");
    let large = [("k", "x".repeat(9000))];
    let at_run = client.with_runcontext().custom_context(large).run(seen()).await.unwrap_err();
    assert_eq!(at_run.kind(), ErrorKind::Context);
    assert!(at_run.message().contains("the limit is 8192") && at_run.message().contains("`k`"), "{at_run}");
}

#[task(env = ENV)]
async fn environment_of_a_process() -> spanwise::Result<String> {
    let output = std::process::Command::new("sh")
        .args(["-c", "printf '%s %s' \"$TRACEPARENT\" \"$BAGGAGE\""])
        .envs(ctx().custom_context().environment())
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn s1_11_a_process_that_a_task_starts_can_join_the_trace() {
    let map = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"), ("baggage", "b=1")];
    let run = memory().with_runcontext().custom_context(map).run(environment_of_a_process()).await.unwrap();
    assert_eq!(run.output().await.unwrap(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03 b=1");
}
