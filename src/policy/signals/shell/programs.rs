//! What is known about programs by name.

/// Programs that run another one, given among their arguments.
pub(super) struct Wrapper {
    pub(super) name: &'static str,
    /// Options that take the next word.
    pub(super) with_value: &'static [&'static str],
    /// Words before the program: a time, a host.
    pub(super) operands: usize,
    /// It takes another user's rights.
    pub(super) privileged: bool,
}

const fn wrapper(name: &'static str, with_value: &'static [&'static str], operands: usize) -> Wrapper {
    Wrapper { name, with_value, operands, privileged: false }
}

const fn rights(name: &'static str, with_value: &'static [&'static str]) -> Wrapper {
    Wrapper { name, with_value, operands: 0, privileged: true }
}

const WRAPPERS: &[Wrapper] = &[
    rights("sudo", &["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-U", "-T", "-D", "-R", "--user", "--group"]),
    rights("doas", &["-u", "-C"]),
    rights("pkexec", &["--user"]),
    rights("runuser", &["-u", "-g"]),
    wrapper("env", &["-u", "-C", "--unset", "--chdir"], 0),
    wrapper(
        "xargs",
        &["-I", "-n", "-P", "-L", "-d", "-E", "-s", "-a", "--max-args", "--max-procs", "--replace"],
        0,
    ),
    wrapper("timeout", &["-s", "-k", "--signal", "--kill-after"], 1),
    wrapper("nice", &["-n", "--adjustment"], 0),
    wrapper("ionice", &["-c", "-n", "-p"], 0),
    wrapper("stdbuf", &["-i", "-o", "-e"], 0),
    wrapper("watch", &["-n", "--interval"], 0),
    wrapper("chroot", &[], 1),
    wrapper("flock", &["-w", "-E"], 1),
    wrapper("taskset", &["-c"], 1),
    wrapper("strace", &["-o", "-e", "-p", "-s"], 0),
    wrapper("parallel", &["-j", "--jobs"], 0),
    wrapper("nohup", &[], 0),
    wrapper("exec", &["-a"], 0),
    wrapper("command", &[], 0),
    wrapper("builtin", &[], 0),
    wrapper("setsid", &[], 0),
    wrapper("unshare", &[], 0),
    wrapper("nsenter", &["-t"], 0),
    wrapper("busybox", &[], 0),
    wrapper("time", &["-f", "-o"], 0),
    wrapper("unbuffer", &[], 0),
    wrapper("script", &[], 0),
];

/// The wrapper of this name.
pub(super) fn wrapper_of(name: &str) -> Option<&'static Wrapper> {
    WRAPPERS.iter().find(|wrapper| wrapper.name == name)
}

/// Shells: what they are given with `-c`, or through a pipe, is a script.
pub(super) fn is_shell(name: &str) -> bool {
    matches!(
        name,
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "mksh" | "ash" | "rbash" | "fish" | "csh" | "tcsh" | "pwsh"
    )
}

/// Interpreters of other languages, and the options after which a program in that language stands.
pub(super) fn code_options(name: &str) -> Option<&'static [&'static str]> {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(match name {
        "python" | "pypy" | "ipython" => &["-c"],
        "perl" => &["-e", "-E", "-pe", "-ne", "-pi", "-i"],
        "ruby" => &["-e"],
        "node" | "nodejs" | "deno" | "bun" => &["-e", "--eval", "-p", "--print", "eval"],
        "php" => &["-r"],
        "lua" | "luajit" | "Rscript" | "osascript" => &["-e"],
        _ => return None,
    })
}

/// Programs that reach the network whatever they are told.
pub(super) fn is_network(name: &str) -> bool {
    const NETWORK: &[&str] = &[
        "curl",
        "wget",
        "nc",
        "ncat",
        "netcat",
        "telnet",
        "ssh",
        "scp",
        "sftp",
        "ftp",
        "tftp",
        "lftp",
        "socat",
        "ping",
        "dig",
        "nslookup",
        "host",
        "whois",
        "mail",
        "mailx",
        "sendmail",
        "mutt",
        "aria2c",
        "httpie",
        "http",
        "https",
        "xh",
        "rclone",
        "aws",
        "gcloud",
        "gsutil",
        "az",
        "gh",
        "glab",
        "kubectl",
        "helm",
        "nmap",
        "masscan",
        "cloudflared",
        "ngrok",
        "psql",
        "mysql",
        "mongosh",
        "redis-cli",
        "smbclient",
        "lynx",
        "w3m",
        "links",
        "traceroute",
        "ssh-copy-id",
        "mosh",
    ];
    NETWORK.contains(&name)
}

/// Subcommands that reach the network.
pub(super) fn is_network_command(name: &str, sub: &str) -> bool {
    match name {
        "git" => matches!(sub, "push" | "pull" | "fetch" | "clone" | "ls-remote" | "remote" | "submodule"),
        "docker" | "podman" => matches!(sub, "push" | "pull" | "login" | "build" | "run"),
        "npm" | "yarn" | "pnpm" | "npx" => true,
        "pip" | "pip3" | "uv" | "poetry" | "pipx" => {
            matches!(sub, "install" | "download" | "add" | "sync" | "publish" | "pip")
        }
        "cargo" => matches!(sub, "install" | "add" | "publish" | "fetch" | "update" | "search"),
        "apt" | "apt-get" | "yum" | "dnf" | "brew" | "apk" | "snap" | "pacman" | "gem" | "go" => {
            matches!(
                sub,
                "install"
                    | "update"
                    | "upgrade"
                    | "get"
                    | "add"
                    | "download"
                    | "push"
                    | "-S"
                    | "-Sy"
                    | "-Syu"
            )
        }
        _ => false,
    }
}

/// Programs whose first operand says what they do, with the options that take the next word.
pub(super) fn subcommand_options(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "git" => &["-C", "-c", "--git-dir", "--work-tree", "--namespace"],
        "kubectl" | "helm" => &["-n", "--namespace", "--context", "--kubeconfig", "--cluster", "-f"],
        "docker" | "podman" => &["-H", "--host", "--context", "--config", "-c"],
        "aws" => &["--profile", "--region", "--output", "--endpoint-url"],
        "terraform" | "tofu" | "pulumi" | "ansible" | "vault" => &[],
        "systemctl" | "service" | "launchctl" | "crontab" | "ip" | "iptables" | "ufw" | "nft" => &[],
        "npm" | "yarn" | "pnpm" | "npx" | "pip" | "pip3" | "uv" | "poetry" | "pipx" | "cargo" | "gem"
        | "go" => &[],
        "apt" | "apt-get" | "yum" | "dnf" | "brew" | "apk" | "snap" | "pacman" => &[],
        "gh" | "glab" | "gcloud" | "gsutil" | "az" | "heroku" | "flyctl" | "vercel" => &[],
        _ => return None,
    })
}

/// Programs that remove for good whatever they are told.
pub(super) fn is_destructive(name: &str) -> bool {
    const DESTRUCTIVE: &[&str] = &[
        "shred",
        "wipefs",
        "wipe",
        "srm",
        "fdisk",
        "sfdisk",
        "parted",
        "mkswap",
        "truncate",
        "killall",
        "pkill",
        "shutdown",
        "reboot",
        "halt",
        "poweroff",
        "userdel",
        "groupdel",
        "dropdb",
        "dropuser",
        "blkdiscard",
        "lvremove",
        "vgremove",
        "zpool",
        "cryptsetup",
        "hdparm",
    ];
    DESTRUCTIVE.contains(&name) || name == "mkfs" || name.starts_with("mkfs.")
}
