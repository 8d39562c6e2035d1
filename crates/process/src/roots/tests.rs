//! What is in the directory of roots, found and removed.

use std::fs;

use super::record::Record;
use super::*;

/// A root as a try leaves it that has come to its end.
fn made(directory: &Path, image: &str) -> Key {
    let key = Key::of(image);
    let name = format!("{}-x", key.0);
    fs::create_dir_all(directory.join(&name).join("root/etc")).unwrap();
    let record = Record {
        image: image.to_owned(),
        directory: name,
        settings: Settings::default(),
        warnings: Vec::new(),
        bytes: 1,
    };
    record.write(directory, &key).unwrap();
    key
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_no_record_names_is_removed_and_what_is_complete_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("roots");
    let key = made(&directory, "debian:12");
    fs::create_dir_all(directory.join(format!("{}-half", key.0)).join("root")).unwrap();
    fs::write(directory.join(format!("{}-half.new", key.0)), "{").unwrap();
    let roots = Roots::open(directory.clone(), Duration::from_secs(1), TaskTracker::new());
    assert_eq!(names(&directory), [format!("{}-x", key.0), format!("{}.json", key.0)]);
    assert_eq!(roots.find("debian:12").unwrap().directory, directory.join(format!("{}-x/root", key.0)));
    assert!(roots.find("debian:13").is_none());
}

#[tokio::test]
async fn a_root_that_nobody_has_used_for_long_goes_unless_it_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_owned();
    let keys = ["old", "used", "new"].map(|image| made(&directory, image));
    let roots = Roots::open(directory.clone(), Duration::from_secs(1), TaskTracker::new());
    let used = roots.find("used").unwrap();
    for key in &keys[..2] {
        let record = fs::File::options().append(true).open(directory.join(format!("{}.json", key.0))).unwrap();
        record.set_modified(std::time::SystemTime::now() - UNUSED - Duration::from_secs(60)).unwrap();
    }
    roots.remove_unused();
    assert!(roots.find("old").is_none() && roots.find("new").is_some());
    assert!(used.directory.is_dir() && roots.find("used").is_some());
    assert_eq!(names(&directory).len(), 4);
}
