//! A disk that is full at random moments, again and again, while runs of every kind go on: of room, and of inodes. What holds for a
//! server that is killed holds for it too.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::chaos::{Chaos, Plan, is_ready, say_loudly};

/// How often each kind of disk is full among the other tests; `just chaos` does it more often.
pub(crate) const SHORT: u32 = 1;

/// Far more than the runs of a test need, and little enough to be filled in a moment.
const ROOM: &str = "size=256m,nr_inodes=30000,mode=0700";

/// How often what the server has set free meanwhile is taken again.
const AGAIN: Duration = Duration::from_millis(100);

/// From the first room to a server that is ready, by itself or started again.
const HEALED: Duration = Duration::from_secs(60);

/// A small file system of its own, in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Fails where this process may not mount.
    fn mount() -> Result<SmallDisk, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", ROOM, "spanwise-chaos"]).arg(directory.path()).output();
        let mounted = mounted.map_err(|error| format!("mount: {error}"))?;
        match mounted.status.success() {
            true => Ok(SmallDisk(directory)),
            false => Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned()),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: tasks that are still ending may have their directory there.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// What a disk runs out of.
#[derive(Clone, Copy, Debug)]
enum Lack {
    Room,
    Inodes,
}

/// What takes all there is.
struct Filling {
    lack: Lack,
    directory: PathBuf,
    files: usize,
}

impl Filling {
    fn begin(lack: Lack, disk: &SmallDisk) -> Filling {
        let directory = disk.path().join("filling");
        std::fs::create_dir(&directory).unwrap();
        Filling { lack, directory, files: 0 }
    }

    /// Takes what there is, down to the last byte or the last inode.
    fn take(&mut self) {
        let is_full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
        loop {
            let path = self.directory.join(self.files.to_string());
            let made = match self.lack {
                Lack::Inodes => File::create(path).map(|_| ()),
                Lack::Room => {
                    // One file for all: what has to be taken again is appended.
                    let file = self.directory.join("0");
                    let open = File::options().append(true).create(true).open(file);
                    open.and_then(|mut file| file.write_all(&[0; 4096]))
                }
            };
            match made {
                Ok(()) => self.files += 1,
                Err(error) if is_full(&error) => return,
                Err(error) => panic!("fill a disk: {error}"),
            }
        }
    }

    fn hold(mut self, time: Duration) {
        let until = Instant::now() + time;
        self.take();
        while Instant::now() < until {
            std::thread::sleep(AGAIN);
            self.take();
        }
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

fn fill_again_and_again(lack: Lack) {
    let mut plan = Plan::from_environment();
    if plan.full == 0 {
        return say_loudly(&format!("no disk was full of {lack:?}: SPANWISE_CHAOS_FULL says how often one is to be"));
    }
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(problem) => {
            // Whoever asks for it wants it done.
            assert!(
                std::env::var_os("SPANWISE_CHAOS_FULL").is_none(),
                "a disk of its own cannot be mounted: {problem}"
            );
            return say_loudly(&format!("no disk was full of {lack:?}: one cannot be mounted here: {problem}"));
        }
    };
    let mut chaos = Chaos::begin(disk.path(), plan.limit(plan.full));
    for number in 1..=plan.full {
        let (alive, full) = (plan.alive(), plan.harmed());
        std::thread::sleep(alive);
        chaos.note(&format!("{lack:?} {number}, full for {:.1} s", full.as_secs_f64()));
        Filling::begin(lack, &disk).hold(full);
        heal(&mut chaos);
    }
    chaos.end();
}

/// A server works again when there is room; one that has ended is started again, as its supervisor would.
fn heal(chaos: &mut Chaos) {
    let deadline = Instant::now() + HEALED;
    while !is_ready(&chaos.server) {
        if chaos.server.has_ended() {
            chaos.note("the server has ended and is started again");
            chaos.server.restart();
        }
        assert!(Instant::now() < deadline, "the server is not ready again:\n{}", chaos.server.said());
        std::thread::sleep(AGAIN);
    }
}

#[test]
fn s4_a_disk_that_is_full_again_and_again_ends_every_run_right() {
    fill_again_and_again(Lack::Room);
}

#[test]
fn s4_a_disk_without_inodes_again_and_again_ends_every_run_right() {
    fill_again_and_again(Lack::Inodes);
}
