//! The runs of this process, by their names. A run is created or loaded by one caller at a time, and no other run waits for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spanwise_core::RunId;

use crate::cell::RunCell;
use crate::error::Error;

/// Runs that are not at their end.
#[derive(Default)]
pub(crate) struct Runs {
    /// Nothing slow happens under this lock.
    entries: Mutex<HashMap<RunId, Arc<Entry>>>,
}

/// One run. Whoever holds an entry has taken it from the map under its lock, so that one that only the map holds can go.
#[derive(Default)]
struct Entry {
    /// Held while the run is created or loaded.
    making: Mutex<()>,
    /// None until it is made, and when it is over.
    cell: Mutex<Option<Arc<RunCell>>>,
}

/// A run that was made.
pub(crate) enum Made {
    /// It goes on, and is found from now on.
    Live(Arc<RunCell>),
    /// It is at its end.
    Finished(Arc<RunCell>),
}

impl Runs {
    /// The run with this name; `make` makes it if it is not here. `found` is given the run that is here and returns it, or none to have another one
    /// made in its stead.
    pub(crate) fn find_or_make(
        &self,
        id: &RunId,
        found: impl FnOnce(Arc<RunCell>) -> Result<Option<Arc<RunCell>>, Error>,
        make: impl FnOnce() -> Result<Made, Error>,
    ) -> Result<Arc<RunCell>, Error> {
        let entry = Arc::clone(lock(&self.entries).entry(id.clone()).or_default());
        let made = {
            let _making = lock(&entry.making);
            self.made(&entry, found, make)
        };
        self.forget_if_empty(id, entry);
        made
    }

    fn made(
        &self,
        entry: &Entry,
        found: impl FnOnce(Arc<RunCell>) -> Result<Option<Arc<RunCell>>, Error>,
        make: impl FnOnce() -> Result<Made, Error>,
    ) -> Result<Arc<RunCell>, Error> {
        let there = lock(&entry.cell).clone();
        if let Some(there) = there {
            if let Some(run) = found(there)? {
                return Ok(run);
            }
            *lock(&entry.cell) = None;
        }
        Ok(match make()? {
            Made::Finished(run) => run,
            Made::Live(run) => Arc::clone(lock(&entry.cell).insert(run)),
        })
    }

    /// True while somebody creates or loads the run.
    #[cfg(test)]
    pub(crate) fn is_being_made(&self, id: &RunId) -> bool {
        lock(&self.entries).get(id).is_some_and(|entry| entry.making.try_lock().is_err())
    }

    /// All of them, as far as they are made.
    pub(crate) fn all(&self) -> Vec<Arc<RunCell>> {
        lock(&self.entries).values().filter_map(|entry| lock(&entry.cell).clone()).collect()
    }

    /// Forgets a run, unless another one has taken its place.
    pub(crate) fn forget(&self, run: &Arc<RunCell>) {
        let entry = lock(&self.entries).get(run.id()).cloned();
        let Some(entry) = entry else { return };
        lock(&entry.cell).take_if(|there| Arc::ptr_eq(there, run));
        self.forget_if_empty(run.id(), entry);
    }

    /// Whoever else holds the entry is about to fill it, and forgets it otherwise.
    fn forget_if_empty(&self, id: &RunId, entry: Arc<Entry>) {
        let mut entries = lock(&self.entries);
        // The map's and this one.
        if Arc::strong_count(&entry) == 2 && lock(&entry.cell).is_none() {
            entries.remove(id);
        }
        // Under the lock: the next one counts right.
        drop(entry);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while a run is made leaves none behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use spanwise_core::RunName;

    use super::*;
    use crate::pools::EnginePools;
    use crate::settings::RunSettings;

    fn id(name: &str) -> RunId {
        let (org, project, domain) = (String::new(), "p".to_owned(), "d".to_owned());
        RunId { org, project, domain, name: RunName::new(name).unwrap() }
    }

    fn run(name: &str) -> Arc<RunCell> {
        Arc::new(RunCell::new(id(name), RunSettings::default(), &EnginePools::unlimited()))
    }

    fn live(name: &str) -> Result<Made, Error> {
        Ok(Made::Live(run(name)))
    }

    fn keep(there: Arc<RunCell>) -> Result<Option<Arc<RunCell>>, Error> {
        Ok(Some(there))
    }

    #[test]
    fn a_run_that_is_slowly_made_delays_no_other_and_is_made_once() {
        let runs = Arc::new(Runs::default());
        let (begins, began) = mpsc::channel();
        let (ends, end) = mpsc::channel::<()>();
        let slow = {
            let runs = Arc::clone(&runs);
            std::thread::spawn(move || {
                let make = || {
                    begins.send(()).unwrap();
                    end.recv().unwrap();
                    live("slow")
                };
                runs.find_or_make(&id("slow"), keep, make).unwrap()
            })
        };
        began.recv().unwrap();
        // This very thread would wait for ever.
        let other = runs.find_or_make(&id("other"), keep, || live("other")).unwrap();
        let found = runs.find_or_make(&id("other"), keep, || panic!("it is there")).unwrap();
        assert!(Arc::ptr_eq(&other, &found));
        assert_eq!(runs.all().iter().map(|run| run.id().name.to_string()).collect::<Vec<_>>(), ["other"]);
        runs.forget(&other);
        let second = {
            let runs = Arc::clone(&runs);
            std::thread::spawn(move || runs.find_or_make(&id("slow"), keep, || panic!("it is made")).unwrap())
        };
        ends.send(()).unwrap();
        assert!(Arc::ptr_eq(&slow.join().unwrap(), &second.join().unwrap()));
    }

    #[test]
    fn what_could_not_be_made_has_ended_or_is_given_up_is_forgotten() {
        let runs = Runs::default();
        let refused = runs.find_or_make(&id("a"), keep, || Err(Error::Interrupted));
        assert!(matches!(refused, Err(Error::Interrupted)));
        runs.find_or_make(&id("a"), keep, || Ok(Made::Finished(run("a")))).unwrap();
        assert!(lock(&runs.entries).is_empty());

        let first = runs.find_or_make(&id("a"), keep, || live("a")).unwrap();
        let second = runs.find_or_make(&id("a"), |_| Ok(None), || live("a")).unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        // Another one has taken its place.
        runs.forget(&first);
        assert_eq!(runs.all().len(), 1);
        runs.forget(&second);
        assert!(lock(&runs.entries).is_empty());
    }
}
