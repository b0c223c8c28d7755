//! The simulated disk itself: names, files, what is pending, and the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::inode::{Inode, Part};
use super::plan::{Fault, Op, OpKind, OpOutcome, Survival, Trigger, Volatile};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(u64),
}

/// One name's new meaning, not durable yet. Changes of one operation share its number.
#[derive(Debug, Clone)]
struct Change {
    operation: u64,
    path: PathBuf,
    node: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Power {
    #[default]
    On,
    /// Everything fails until the process is killed.
    Frozen,
    /// Everything fails until the restart, which shows what survived.
    Off,
    /// The disk lives on in another [`super::FaultyDisk`].
    Restarted,
}

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    random: u64,
    pub(super) power: Power,
    plan: Vec<(Trigger, Fault)>,
    pub(super) ops: Vec<Op>,
    pub(super) mutations: u64,
    pub(super) space: Option<u64>,
    pub(super) inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    pending: Vec<Change>,
    /// Numbers the changes, across restarts.
    changes: u64,
    pub(super) locks: BTreeSet<PathBuf>,
}

pub(super) fn eio(what: &str) -> io::Error {
    io::Error::other(format!("simulated: {what}"))
}

/// Paths are absolute or relative to one and the same root, without `..`.
pub(super) fn normal(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "simulated: path with `..`"));
            }
        }
    }
    Ok(clean)
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: seed, ..Self::default() }
    }

    /// A splitmix64 step: deterministic, and good enough to choose pages by.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn plan(&mut self, at: Trigger, fault: Fault) {
        self.plan.push((at, fault));
    }

    /// Records that an operation begins; says what is to strike it.
    pub(super) fn begin(
        &mut self,
        kind: OpKind,
        path: &Path,
        offset: u64,
        len: u64,
    ) -> io::Result<Option<Fault>> {
        let any = self.ops.len() as u64;
        let mutation = kind.is_mutation().then_some(self.mutations);
        let gone = self.power != Power::On;
        let outcome = if gone { OpOutcome::Gone } else { OpOutcome::Begun };
        self.ops.push(Op { kind, path: path.to_path_buf(), offset, len, outcome });
        if mutation.is_some() {
            self.mutations += 1;
        }
        if gone {
            return Err(eio("the disk is gone"));
        }
        let strikes = |trigger: &Trigger| match trigger {
            Trigger::Any(n) => *n == any,
            Trigger::Mutation(n) => Some(*n) == mutation,
        };
        Ok(self.plan.iter().find(|(trigger, _)| strikes(trigger)).map(|(_, fault)| *fault))
    }

    pub(super) fn end(&mut self, outcome: OpOutcome) {
        if let Some(op) = self.ops.last_mut() {
            op.outcome = outcome;
        }
    }

    pub(super) fn lookup(&self, path: &Path) -> Option<Node> {
        if path.as_os_str().is_empty() { Some(Node::Directory) } else { self.names.get(path).copied() }
    }

    /// The error for a path that names nothing: a file in the way is told apart.
    pub(super) fn missing(&self, path: &Path) -> io::Error {
        let blocked = path.ancestors().skip(1).any(|above| matches!(self.lookup(above), Some(Node::File(_))));
        if blocked { io::ErrorKind::NotADirectory.into() } else { io::ErrorKind::NotFound.into() }
    }

    pub(super) fn directory(&self, path: &Path) -> io::Result<()> {
        match self.lookup(path) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(self.missing(path)),
        }
    }

    /// The directory a new name would go into must be there.
    pub(super) fn parent_directory(&self, path: &Path) -> io::Result<()> {
        self.directory(path.parent().unwrap_or(Path::new("")))
    }

    /// Changes names, all or none of which a power cut keeps.
    pub(super) fn change(&mut self, changes: &[(&Path, Option<Node>)]) {
        let operation = self.changes;
        self.changes += 1;
        for (path, node) in changes {
            match node {
                Some(node) => self.names.insert(path.to_path_buf(), *node),
                None => self.names.remove(*path),
            };
            self.pending.push(Change { operation, path: path.to_path_buf(), node: *node });
        }
    }

    pub(super) fn create_file(&mut self, path: &Path) -> u64 {
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, Inode::default());
        self.change(&[(path, Some(Node::File(id)))]);
        id
    }

    /// A file that is durable with its name and directories, as if it had always been there.
    pub(super) fn place(&mut self, path: &Path, bytes: &[u8]) {
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, Inode::durable(bytes));
        self.pending.retain(|change| change.path != path);
        for names in [&mut self.names, &mut self.durable_names] {
            for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
                names.insert(above.to_path_buf(), Node::Directory);
            }
            names.insert(path.to_path_buf(), Node::File(id));
        }
    }

    pub(super) fn inode(&self, id: u64) -> io::Result<&Inode> {
        self.inodes.get(&id).ok_or_else(|| eio("no such file"))
    }

    pub(super) fn inode_mut(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| eio("no such file"))
    }

    pub(super) fn file_id(&self, path: &Path) -> Option<u64> {
        match self.lookup(&normal(path).ok()?) {
            Some(Node::File(id)) => Some(id),
            _ => None,
        }
    }

    pub(super) fn children(&self, dir: &Path) -> Vec<String> {
        let inside = self.names.keys().filter(|path| path.parent() == Some(dir));
        inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.names.iter().filter_map(|(path, node)| match node {
            Node::File(id) => Some((path.as_path(), *id)),
            Node::Directory => None,
        })
    }

    /// How many more bytes fit.
    pub(super) fn room(&self) -> u64 {
        let used =
            self.files().filter_map(|(_, id)| self.inodes.get(&id)).map(|inode| inode.len() as u64).sum();
        self.space.map_or(u64::MAX, |space| space.saturating_sub(used))
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        for change in self.take_pending(dir) {
            apply(&mut self.durable_names, &change);
        }
    }

    /// Some of the directory's changes are durable, the others never will be, and nobody is told.
    pub(super) fn fail_sync_dir(&mut self, dir: &Path) {
        for change in self.take_pending(dir) {
            if self.random().is_multiple_of(2) {
                apply(&mut self.durable_names, &change);
            }
        }
    }

    fn take_pending(&mut self, dir: &Path) -> Vec<Change> {
        let pending = std::mem::take(&mut self.pending);
        let (here, elsewhere) = pending.into_iter().partition(|change| change.path.parent() == Some(dir));
        self.pending = elsewhere;
        here
    }

    pub(super) fn fail_sync_file(&mut self, id: u64) {
        let mut dice = self.dice();
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.settle(&mut |_| dice());
        }
    }

    /// Chooses what survives: all, nothing, or each thing for itself.
    fn dice(&mut self) -> impl FnMut() -> Survival + use<> {
        let mut dice = Self::new(self.random());
        let mood = self.random() % 8;
        move || match (mood, dice.random()) {
            (0, _) => Survival::Lost,
            (1, _) => Survival::Kept,
            (_, roll) => match roll % 3 {
                0 => Survival::Lost,
                1 => Survival::Kept,
                _ => Survival::Sectors(u8::try_from(roll >> 56).unwrap_or(0xaa)),
            },
        }
    }

    pub(super) fn volatile(&self) -> Vec<Volatile> {
        let mut all = Vec::new();
        for operation in self.pending.iter().map(|change| change.operation).collect::<BTreeSet<_>>() {
            let of_it = self.pending.iter().filter(|change| change.operation == operation);
            all.push(Volatile::Names(of_it.map(|change| change.path.clone()).collect()));
        }
        for (id, inode) in &self.inodes {
            all.extend(inode.volatile_parts().into_iter().map(|part| self.describe(*id, part)));
        }
        all
    }

    fn describe(&self, id: u64, part: Part) -> Volatile {
        let path = self
            .files()
            .find(|(_, file)| *file == id)
            .map_or_else(|| PathBuf::from(format!("(nameless file {id})")), |(path, _)| path.to_path_buf());
        match part {
            Part::Length => Volatile::Length(path),
            Part::Page(page) => Volatile::Page(path, page as u64),
        }
    }

    pub(super) fn power_cut_by_seed(&mut self) {
        let mut dice = self.dice();
        self.power_cut(&mut |_| dice());
    }

    /// Only what is durable, and of the volatile things what `decide` keeps (asked in [`State::volatile`]'s
    /// order), is there afterwards.
    pub(super) fn power_cut(&mut self, decide: &mut dyn FnMut(&Volatile) -> Survival) {
        if matches!(self.power, Power::Off | Power::Restarted) {
            return;
        }
        let volatile = self.volatile();
        let mut fates = volatile.iter().map(decide).collect::<Vec<_>>().into_iter();
        let mut fate = move || fates.next().unwrap_or(Survival::Lost);
        let pending = std::mem::take(&mut self.pending);
        for operation in pending.iter().map(|change| change.operation).collect::<BTreeSet<_>>() {
            if fate() == Survival::Lost {
                continue;
            }
            for change in pending.iter().filter(|change| change.operation == operation) {
                apply(&mut self.durable_names, change);
            }
        }
        for inode in self.inodes.values_mut() {
            inode.settle(&mut |_| fate());
            inode.forget_cache();
        }
        self.forget_unreachable();
        self.names.clone_from(&self.durable_names);
        self.locks.clear();
        self.power = Power::Off;
    }

    /// What lies in a directory whose own name did not survive cannot be reached any more.
    fn forget_unreachable(&mut self) {
        let all = self.durable_names.clone();
        self.durable_names.retain(|path, _| {
            path.ancestors()
                .skip(1)
                .filter(|above| !above.as_os_str().is_empty())
                .all(|above| all.get(above) == Some(&Node::Directory))
        });
    }

    /// The same disk, seen by the next process: nothing planned, nothing logged, no locks.
    pub(super) fn for_next_process(&self) -> Self {
        let mut next = self.clone();
        next.random();
        next.power = Power::On;
        next.plan.clear();
        next.ops.clear();
        next.mutations = 0;
        next.locks.clear();
        next
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, change: &Change) {
    match change.node {
        Some(node) => names.insert(change.path.clone(), node),
        None => names.remove(&change.path),
    };
}
