//! Pages are compared with a sorted list in memory, for stores, prefixes and places that proptest thinks of.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Keys over a small alphabet, with characters on both sides of `/`: `a-b`, `a/b` and `a0` sort differently as names and as keys.
fn keys() -> impl Strategy<Value = BTreeSet<String>> {
    let segment = "[a-b%#0-]{1,2}";
    let key = prop::collection::vec(segment, 1..4).prop_map(|segments| segments.join("/"));
    prop::collection::vec(key, 0..24).prop_map(|keys| {
        let mut kept = BTreeSet::new();
        for key in keys {
            let clashes = |other: &String| {
                *other == key || other.starts_with(&format!("{key}/")) || key.starts_with(&format!("{other}/"))
            };
            if !kept.iter().any(clashes) {
                kept.insert(key);
            }
        }
        kept
    })
}

fn expected(keys: &BTreeSet<String>, query: &Query) -> Vec<String> {
    let mut items = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(&query.prefix) && **key > query.after) {
        let rest = &key[query.prefix.len()..];
        let item = match rest.find('/') {
            Some(end) if query.fold => format!("{}{}", query.prefix, &rest[..=end]),
            _ => key.clone(),
        };
        if items.last() != Some(&item) {
            items.push(item);
        }
    }
    items
}

fn all_pages(root: &Path, query: &Query) -> Vec<String> {
    let mut query = query.clone();
    let mut items = Vec::new();
    loop {
        let page = walk(root, query.clone()).unwrap();
        let mut found: Vec<String> = page.blobs.iter().map(|blob| blob.uri.key().to_owned()).collect();
        found.extend(page.prefixes);
        found.sort();
        assert!(found.len() <= query.limit);
        items.extend(found);
        let Some(next) = page.next else { return items };
        query.after = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn pages_are_what_a_sorted_list_gives(
        keys in keys(),
        prefix in "([a-b%#0-]/?){0,3}",
        after in "([a-b%#0-]/?){0,3}",
        fold: bool,
        limit in 1..5_usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        for key in &keys {
            let file = directory.path().join(BlobUri::from_key(key).unwrap().file());
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, key).unwrap();
        }
        let query = Query { prefix, after, fold, limit };
        let found = all_pages(&directory.path().join(BUCKET), &query);
        prop_assert_eq!(found, expected(&keys, &query));
    }
}
