//! T7 on the user's side: a queue that is large enough loses nothing.

use std::collections::BTreeSet;

use crate::program::program;
use crate::receiver::Receiver;

#[tokio::test]
async fn ten_thousand_short_tasks_lose_no_span() {
    let receiver = Receiver::http().await;
    let ended = program!("burst").arg("10000").export_to(&receiver).succeed().await;
    assert_eq!(ended.stdout.lines().last(), Some("49995000"));
    let spans = receiver.spans();
    spans.check();
    spans.trace_id();
    let main = spans.one("main");
    let items = spans.named("item");
    assert_eq!(items.len(), 10_000);
    let parents: BTreeSet<_> = items.iter().map(|item| &item.parent_span_id).collect();
    assert_eq!(parents.into_iter().collect::<Vec<_>>(), [&main.span_id]);
}
