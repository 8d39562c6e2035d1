//! Who waits for versions: in random stories with kills too.

use super::*;

fn on(version: Option<&str>, partition: &[(&str, &str)]) -> OnArtifact {
    OnArtifact {
        name: "model".to_owned(),
        version: version.map(str::to_owned),
        partition: partition.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn partition(texts: &[(&str, &str)]) -> Partition {
    Partition { texts: on(None, texts).partition, ..Partition::default() }
}

#[test]
fn s20_6_what_is_older_than_the_trigger_is_not_its_own() {
    let facts = VersionFacts { since: ArtifactKey(5), settled: None, is_running: true };
    let step = |facts: &VersionFacts, overlap, key| {
        let rules = FiringRules { overlap, ..FiringRules::default() };
        next_version(&on(None, &[]), rules, facts, Some((ArtifactKey(key), "v", &Partition::default())))
    };
    assert_eq!(step(&facts, Overlap::Allow, 5), VersionStep::Wait);
    assert_eq!(step(&facts, Overlap::Allow, 6), VersionStep::Fire(ArtifactKey(6)));
    assert_eq!(step(&facts, Overlap::Skip, 6), VersionStep::LeaveOut(ArtifactKey(6)));
    assert_eq!(step(&facts, Overlap::Queue, 6), VersionStep::AwaitEnd);
    let settled = VersionFacts { settled: Some(ArtifactKey(6)), is_running: false, ..facts };
    assert_eq!(step(&settled, Overlap::Queue, 6), VersionStep::Wait);
    assert_eq!(step(&settled, Overlap::Queue, 7), VersionStep::Fire(ArtifactKey(7)));
    // Activated again later: what was settled before counts for nothing.
    let again = VersionFacts { since: ArtifactKey(9), ..settled };
    assert_eq!(step(&again, Overlap::Allow, 8), VersionStep::Wait);
    let none = next_version(&on(None, &[]), FiringRules::default(), &facts, None);
    assert_eq!(none, VersionStep::Wait);
}

/// Every version that is wanted is fired once, however often the process is killed between a firing and its note.
#[test]
fn s20_6_each_version_is_one_run_whenever_the_process_is_killed() {
    for seed in 0..300_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |most: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % most
        };
        let on = on(None, &[("region", "us")]);
        let texts = [partition(&[("region", "us")]), partition(&[("region", "eu")])];
        let (mut versions, mut settled, mut fired) = (Vec::new(), None, std::collections::BTreeSet::new());
        let mut firings = 0;
        for _ in 0..80 {
            if random(2) == 0 {
                versions.push((ArtifactKey(versions.len() as i64 + 1), random(2) as usize));
            }
            let facts = VersionFacts { since: ArtifactKey(2), settled, is_running: false };
            let next = versions.iter().find(|(key, _)| *key > facts.decided());
            let next = next.map(|(key, of)| (*key, "v", &texts[*of]));
            match next_version(&on, FiringRules::default(), &facts, next) {
                VersionStep::Fire(key) => {
                    // The name of a run is that of the version: a second one is refused.
                    fired.insert(key);
                    firings += 1;
                    if random(3) > 0 {
                        settled = Some(key);
                    }
                }
                VersionStep::Pass(key) | VersionStep::LeaveOut(key) => settled = Some(key),
                VersionStep::AwaitEnd => panic!("nobody waits"),
                VersionStep::Wait => {}
            }
        }
        let decided = settled.unwrap_or(ArtifactKey(2));
        let wanted = versions.iter().filter(|(key, of)| *of == 0 && *key > ArtifactKey(2) && *key <= decided);
        let wanted: std::collections::BTreeSet<ArtifactKey> = wanted.map(|(key, _)| *key).collect();
        assert!(wanted.is_subset(&fired) && fired.len() - wanted.len() <= 1, "seed {seed}: {wanted:?} {fired:?}");
        assert!(firings >= fired.len());
    }
}
