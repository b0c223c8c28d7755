//! What one simple command does.

use super::grammar::{Command, RedirectKind};
use super::programs::{
    code_options, is_destructive, is_network, is_network_command, is_shell, subcommand_options, wrapper_of,
};
use super::word::Word;
use super::{DEPTH_MAX, ShellFacts, put, script};

/// Adds what a command does. Says whether it was over a bound.
pub(super) fn command(command: &Command, depth: usize, facts: &mut ShellFacts) -> bool {
    let mut over = false;
    for redirect in &command.redirects {
        let target = redirect.target.known();
        if redirect.kind == RedirectKind::Write {
            let nowhere =
                matches!(target, Some("/dev/null" | "/dev/stdout" | "/dev/stderr" | "/dev/tty" | "-"));
            facts.redirects |= !nowhere;
            facts.destructive |= target.is_some_and(is_disk);
        }
        facts.network |=
            target.is_some_and(|path| path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/"));
    }
    // What decides which program is meant, and what is loaded into it.
    let decides = |name: &String| {
        matches!(name.as_str(), "PATH" | "LD_PRELOAD" | "LD_LIBRARY_PATH" | "BASH_ENV" | "ENV" | "IFS")
    };
    facts.dynamic |= command.assigned.iter().any(decides);
    if !command.words.is_empty() {
        over |= run(&command.words, command, depth, facts);
    }
    over
}

/// Adds what a program and its arguments do.
fn run(words: &[Word], command: &Command, depth: usize, facts: &mut ShellFacts) -> bool {
    let Some((first, args)) = words.split_first() else { return false };
    if depth > DEPTH_MAX {
        facts.unparsed = true;
        return true;
    }
    let Some(name) = first.program() else {
        facts.dynamic = true;
        return false;
    };
    let mut over = put(&mut facts.programs, name);
    facts.network |= is_network(name);
    facts.destructive |= is_destructive(name);
    facts.dynamic |= matches!(name, "alias" | "trap" | "enable" | "hash") && !args.is_empty();
    if let Some(wrapper) = wrapper_of(name) {
        facts.privileged |= wrapper.privileged;
        over |= wrapped(name, wrapper.with_value, wrapper.operands, args, command, depth, facts);
    } else if is_shell(name) {
        over |= shell(args, command, depth, facts);
    } else if let Some(options) = code_options(name) {
        interpreter(options, args, command, facts);
    } else {
        over |= match name {
            "eval" => joined(args, depth, facts),
            "source" | "." => {
                facts.pipe_to_shell |= args.first().is_some_and(|file| file.process);
                facts.dynamic |= args.first().is_some_and(|file| file.dynamic && !file.process);
                false
            }
            "su" => {
                facts.privileged = true;
                after_option(args, &["-c", "--command"]).is_some_and(|word| text(word, depth, facts))
            }
            "ssh" => remote(args, depth, facts),
            "find" => find(args, command, depth, facts),
            _ => false,
        };
        destruction(name, args, facts);
        facts.inline_code |= matches!(name, "awk" | "gawk" | "mawk" | "sed" | "jq")
            && args.iter().any(|word| {
                word.text.contains("system(") || word.text.contains("| getline") || runs_in_sed(name, word)
            });
        facts.inline_code |= matches!(name, "vim" | "vi" | "ex" | "emacs" | "gdb");
    }
    facts.network |= name == "rsync" && args.iter().any(|word| word.text.contains(':') || word.dynamic);
    if let Some(options) = subcommand_options(name) {
        over |= subcommand(name, options, args, facts);
    }
    over
}

/// GNU sed's `e` runs what it has.
fn runs_in_sed(name: &str, word: &Word) -> bool {
    name == "sed" && (word.text.ends_with("/e") || word.text.ends_with("/ge"))
}

/// A program that runs the one among its arguments.
fn wrapped(
    name: &str,
    with_value: &[&str],
    operands: usize,
    args: &[Word],
    command: &Command,
    depth: usize,
    facts: &mut ShellFacts,
) -> bool {
    let mut left = operands;
    let mut rest = args;
    while let Some((word, after)) = rest.split_first() {
        let text = word.text.as_str();
        if name == "env" && matches!(text, "-S" | "--split-string") {
            return joined(after, depth, facts);
        }
        if with_value.contains(&text) {
            rest = after.get(1..).unwrap_or(&[]);
        } else if (text.starts_with('-') && text != "-" && !word.dynamic)
            || (word.assigned().is_some() && !word.dynamic)
        {
            rest = after;
        } else if left > 0 {
            left = left.saturating_sub(1);
            rest = after;
        } else {
            break;
        }
    }
    if rest.is_empty() {
        // `sudo -i`, `exec 3<file`, `xargs` alone, which is `echo`: a shell of its own only for the first.
        facts.dynamic |= matches!(name, "busybox" | "chroot" | "nsenter" | "unshare" | "parallel");
        return false;
    }
    let deeper = depth.saturating_add(1);
    // These give their arguments to a shell.
    let by_shell = matches!(name, "watch" | "parallel" | "flock" | "script") && rest.len() == 1;
    if by_shell || rest.first().is_some_and(|word| word.is("-c")) {
        return joined(rest, depth, facts);
    }
    // What xargs appends is not known; as a program or a script it would be the input's.
    if matches!(name, "xargs" | "parallel") && rest.first().and_then(Word::program).is_some_and(is_shell) {
        facts.pipe_to_shell = true;
    }
    run(rest, command, deeper, facts)
}

/// A shell: a script after `-c`, in a file, or whatever comes in.
fn shell(args: &[Word], command: &Command, depth: usize, facts: &mut ShellFacts) -> bool {
    let is_command = |word: &&Word| {
        word.text.starts_with('-') && !word.text.starts_with("--") && word.text.contains('c') && !word.dynamic
    };
    if let Some(at) = args.iter().position(|word| is_command(&word)) {
        return match args
            .iter()
            .skip(at.saturating_add(1))
            .find(|word| !word.text.starts_with('-') || word.dynamic)
        {
            Some(word) => text(word, depth, facts),
            None => false,
        };
    }
    let file =
        args.iter().find(|word| (!word.text.starts_with('-') && !word.text.starts_with('+')) || word.dynamic);
    match file {
        Some(file) if file.process => facts.pipe_to_shell = true,
        Some(file) if file.known().is_none() => facts.dynamic = true,
        Some(file) if file.text != "/dev/stdin" && !args.iter().any(|word| word.text == "-s") => {}
        _ => return incoming(command, depth, facts),
    }
    false
}

/// A script that comes in: through a pipe, from a file, or as a text.
fn incoming(command: &Command, depth: usize, facts: &mut ShellFacts) -> bool {
    facts.pipe_to_shell |= command.piped;
    let mut over = false;
    for redirect in command.redirects.iter().filter(|redirect| redirect.kind == RedirectKind::Text) {
        over |= text(&redirect.target, depth, facts);
    }
    facts.pipe_to_shell |= command.redirects.iter().any(|redirect| redirect.target.process);
    over
}

/// A word that is a script.
fn text(word: &Word, depth: usize, facts: &mut ShellFacts) -> bool {
    match word.known() {
        Some(text) => script(text, depth.saturating_add(1), facts),
        None => {
            facts.dynamic = true;
            false
        }
    }
}

/// Words that make a script together.
fn joined(words: &[Word], depth: usize, facts: &mut ShellFacts) -> bool {
    let known: Option<Vec<&str>> = words.iter().filter(|word| !word.is("-c")).map(Word::known).collect();
    match known {
        Some(words) => script(&words.join(" "), depth.saturating_add(1), facts),
        None => {
            facts.dynamic = true;
            false
        }
    }
}

/// An interpreter of another language.
fn interpreter(options: &[&str], args: &[Word], command: &Command, facts: &mut ShellFacts) {
    facts.network |= args.windows(2).any(|pair| match pair {
        [m, module] => {
            m.text == "-m" && matches!(module.text.as_str(), "http.server" | "pip" | "smtplib" | "ftplib")
        }
        _ => false,
    });
    if args.iter().any(|word| options.contains(&word.text.as_str())) {
        facts.inline_code = true;
    } else if !args.iter().any(|word| !word.text.starts_with('-') || word.dynamic)
        || args.iter().any(|word| word.text == "-")
    {
        facts.pipe_to_shell |= command.piped;
        facts.inline_code |= command.redirects.iter().any(|redirect| redirect.kind == RedirectKind::Text);
    }
    facts.pipe_to_shell |= args.iter().any(|word| word.process);
}

/// `ssh [options] host command…`
fn remote(args: &[Word], depth: usize, facts: &mut ShellFacts) -> bool {
    const WITH_VALUE: &str = "-B -b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w";
    let mut rest = args;
    while let Some((word, after)) = rest.split_first() {
        if !word.text.starts_with('-') {
            // The host; what follows runs there.
            return !after.is_empty() && joined(after, depth, facts);
        }
        let takes = WITH_VALUE.split(' ').any(|option| option == word.text);
        rest = if takes { after.get(1..).unwrap_or(&[]) } else { after };
    }
    false
}

/// `find … -exec program … ;`
fn find(args: &[Word], command: &Command, depth: usize, facts: &mut ShellFacts) -> bool {
    facts.destructive |= args.iter().any(|word| word.text == "-delete");
    let mut over = false;
    let mut rest = args;
    while let Some(at) =
        rest.iter().position(|word| matches!(word.text.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir"))
    {
        let after = rest.get(at.saturating_add(1)..).unwrap_or(&[]);
        let end =
            after.iter().position(|word| matches!(word.text.as_str(), ";" | "+")).unwrap_or(after.len());
        let inner = after.get(..end).unwrap_or(&[]);
        over |= run(inner, command, depth.saturating_add(1), facts);
        facts.destructive |= inner.first().and_then(Word::program) == Some("rm");
        rest = after.get(end..).unwrap_or(&[]);
    }
    over
}

/// What is removed or overwritten for good.
fn destruction(name: &str, args: &[Word], facts: &mut ShellFacts) {
    let has = |short: char, long: &str| {
        args.iter().any(|word| {
            let cluster = word.text.starts_with('-') && !word.text.starts_with("--");
            (cluster && word.text.contains(short)) || word.text == long
        })
    };
    let names = |text: &str| args.iter().any(|word| word.text == text);
    facts.destructive |= match name {
        "rm" => {
            has('r', "--recursive")
                || has('R', "--recursive")
                || args.iter().any(|word| word.pattern || names_root(word))
        }
        "dd" => args.iter().any(|word| word.text.starts_with("of=")),
        "tee" | "cp" | "mv" => {
            args.iter().any(|word| word.known().is_some_and(is_disk)) || (name == "mv" && names("/dev/null"))
        }
        "chmod" | "chown" | "chgrp" => has('R', "--recursive"),
        "kill" => names("-1") && args.len() > 1,
        "crontab" => has('r', "--remove"),
        "history" => has('c', "--clear"),
        "docker" | "podman" => names("prune") || (names("rm") && has('f', "--force")) || names("rmi"),
        "kubectl" => names("delete") || names("drain"),
        "helm" => names("uninstall") || names("delete"),
        "terraform" | "tofu" | "pulumi" => names("destroy"),
        "aws" => {
            names("rm")
                || names("rb")
                || args
                    .iter()
                    .any(|word| word.text.starts_with("delete-") || word.text.starts_with("terminate-"))
        }
        "rsync" => args.iter().any(|word| word.text.starts_with("--delete")),
        "git" => git_destroys(args),
        _ => false,
    };
}

fn git_destroys(args: &[Word]) -> bool {
    let has = |texts: &[&str]| args.iter().any(|word| texts.contains(&word.text.as_str()));
    let sub = args.iter().find(|word| !word.text.starts_with('-')).map_or("", |word| word.text.as_str());
    let sub = if has(&["-C", "-c"]) {
        args.iter().map(|word| word.text.as_str()).find(|text| GIT.contains(text)).unwrap_or(sub)
    } else {
        sub
    };
    match sub {
        "push" => {
            has(&["-f", "--force", "--mirror", "--delete", "-d", "--prune"])
                || args
                    .iter()
                    .any(|word| word.text.starts_with("--force") || word.text.starts_with(['+', ':']))
        }
        "reset" => has(&["--hard", "--merge"]),
        "clean" => args
            .iter()
            .any(|word| word.text.starts_with('-') && (word.text.contains('f') || word.text == "--force")),
        "branch" => has(&["-D", "--delete"]) || has(&["-d"]) && has(&["--force", "-f"]),
        "checkout" | "switch" => has(&["-f", "--force", "--discard-changes", "."]),
        "restore" => true,
        "filter-branch" | "filter-repo" => true,
        "stash" => has(&["drop", "clear"]),
        "reflog" | "gc" => has(&["expire", "delete", "--prune=now"]),
        "update-ref" => has(&["-d"]),
        _ => false,
    }
}

/// Subcommands that remove something, looked for where options hide which word is the subcommand.
const GIT: &[&str] =
    &["push", "reset", "clean", "branch", "checkout", "switch", "restore", "filter-branch", "stash"];

/// The first operand of a program that has subcommands.
fn subcommand(name: &str, with_value: &[&str], args: &[Word], facts: &mut ShellFacts) -> bool {
    let mut rest = args;
    while let Some((word, after)) = rest.split_first() {
        if word.text.starts_with('-') && !word.dynamic {
            rest =
                if with_value.contains(&word.text.as_str()) { after.get(1..).unwrap_or(&[]) } else { after };
            continue;
        }
        let Some(sub) = word.known() else {
            facts.dynamic = true;
            return false;
        };
        facts.network |= is_network_command(name, sub);
        if name == "git" && sub == "push" {
            pushes(after, facts);
        }
        return put(&mut facts.commands, &format!("{name} {sub}"));
    }
    false
}

/// The branches that `git push` names on the other side.
fn pushes(args: &[Word], facts: &mut ShellFacts) {
    let mut operands =
        args.iter().filter(|word| !word.text.starts_with('-') || word.dynamic).skip(1).peekable();
    let all = args.iter().any(|word| matches!(word.text.as_str(), "--all" | "--mirror" | "--branches"));
    if all || operands.peek().is_none() {
        facts.pushes.insert("*".to_owned());
    }
    for word in operands {
        let branch = word.known().map(|spec| {
            let spec = spec.trim_start_matches('+');
            let there = spec.rsplit_once(':').map_or(spec, |(_, there)| there);
            there.strip_prefix("refs/heads/").unwrap_or(there)
        });
        // `HEAD` is whatever is checked out.
        let branch = branch
            .filter(|branch| !branch.is_empty() && !matches!(*branch, "HEAD" | "@") && !branch.contains('*'));
        if put(&mut facts.pushes, branch.unwrap_or("*")) {
            facts.pushes.insert("*".to_owned());
        }
    }
}

fn after_option<'a>(args: &'a [Word], options: &[&str]) -> Option<&'a Word> {
    let at = args.iter().position(|word| options.contains(&word.text.as_str()))?;
    args.get(at.saturating_add(1))
}

/// A disk, whole or in part.
fn is_disk(path: &str) -> bool {
    ["/dev/sd", "/dev/nvme", "/dev/vd", "/dev/hd", "/dev/mmcblk", "/dev/disk", "/dev/mapper", "/dev/mem"]
        .iter()
        .any(|start| path.starts_with(start))
}

/// The root, a home, the whole of the present directory, or nobody knows what.
fn names_root(word: &Word) -> bool {
    word.dynamic
        || matches!(
            word.text.trim_end_matches('/'),
            "" | "~" | "." | ".." | "/*" | "/etc" | "/usr" | "/home" | "/var"
        )
}
