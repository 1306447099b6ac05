//! Programs of others that the sinks talk to, and that read what they sent: `tests/peers/*.py`, on the packages in `vendor/pytest`.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{free_port, wait_for};

fn python(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("../../vendor/pytest");
    assert!(packages.is_dir(), "{} is missing: `make test` fetches it", packages.display());
    let mut command = Command::new("python3");
    command.arg(root.join("tests/peers").join(script)).env("PYTHONPATH", packages);
    command
}

/// Runs a script to its end; gives what it printed.
pub(crate) fn run(script: &str, args: &[&str], input: &str) -> String {
    let mut command = python(script);
    let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{script} {args:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A server that writes down what it is sent.
pub(crate) struct Server {
    pub(crate) port: u16,
    script: &'static str,
    args: Vec<String>,
    file: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// `args` follow the port and the file.
    pub(crate) fn start(script: &'static str, dir: &Path, args: &[&Path]) -> Self {
        let args = args.iter().map(|path| path.display().to_string()).collect();
        let file = dir.join(format!("{script}.jsonl"));
        let mut server = Self { port: free_port(), script, args, file, child: None };
        server.revive();
        server
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it was running");
            child.wait().expect("it ends");
        }
    }

    pub(crate) fn revive(&mut self) {
        let mut command = python(self.script);
        let child = command.arg(self.port.to_string()).arg(&self.file).args(&self.args).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("python starts"));
        wait_for("the server to listen", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// What it has written down, oldest first.
    pub(crate) fn seen(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits until it has written down so much.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Value> {
        wait_for(&format!("{count} messages at {}", self.script), || self.seen().len() >= count);
        self.seen()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
