//! Cameras' posts: 200 once the event is a file, whatever else is in the body.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use huong_flow::Stop;
use huong_ingest::{IngestStats, Posts, PostsConfig};
use huong_types::{Problems, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::rig::NOW;

struct Receiver {
    dir: TempDir,
    posts: (std::net::SocketAddr, JoinHandle<()>),
    stats: Arc<IngestStats>,
    stop: Stop,
}

fn config(dir: &TempDir) -> PostsConfig {
    PostsConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        path: "/anpr".into(),
        dir: dir.path().to_owned(),
        max_body: 4096,
        pictures: true,
        max_connections: 2,
    }
}

impl Receiver {
    async fn start(change: impl FnOnce(PostsConfig) -> PostsConfig) -> Self {
        let dir = TempDir::new().expect("a folder");
        let posts = Posts::bind(change(config(&dir))).await.expect("a free port");
        let (address, stats, stop) = (posts.address(), Arc::new(IngestStats::default()), Stop::new());
        let task = tokio::spawn(posts.run(Arc::new(|| Timestamp::from_millis(NOW)), Arc::clone(&stats), stop.clone()));
        Self { dir, posts: (address, task), stats, stop }
    }

    /// The status of the answer to one request.
    async fn asks(&self, head: &str, body: &[u8]) -> u16 {
        let mut stream = TcpStream::connect(self.posts.0).await.expect("it listens");
        let head = format!("{head} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        let kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n";
        stream.write_all(&[head.as_bytes(), kind.as_bytes(), body].concat()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    async fn stop(self) -> TempDir {
        self.stop.set();
        self.posts.1.await.expect("no panic");
        self.dir
    }
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect());
    let mut paths: Vec<_> = entries.unwrap_or_default();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

const POST: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"anpr.xml\"; filename=\"anpr.xml\"\r\nContent-Type: application/xml\r\n\r\n<event/>\r\n--b\r\nContent-Disposition: form-data; name=\"detectionPicture.jpg\"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\r\n--b--\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_event_is_a_file_with_its_pictures_beside() {
    let receiver = Receiver::start(|config| config).await;
    assert_eq!(receiver.asks("POST /anpr", POST).await, 200);
    assert_eq!(files(receiver.dir.path()), [b"<event/>"]);
    assert_eq!(files(&receiver.dir.path().join("pictures")), [b"\xff\xd8\xff"]);
    // Bare XML, and what is not understood: the folder's quarantine says what is wrong with it.
    assert_eq!(receiver.asks("POST /anpr", b"<bare/>").await, 200);
    assert_eq!(receiver.asks("POST /anpr", b"--b\r\nrubbish").await, 200);
    assert_eq!(files(receiver.dir.path()), [&b"<event/>"[..], b"<bare/>", b"--b\r\nrubbish"]);
    assert_eq!((receiver.stats.posts.get(), receiver.stats.posts_lost.get()), (3, 0));
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_kept_only_when_asked_for() {
    let receiver = Receiver::start(|config| PostsConfig { pictures: false, ..config }).await;
    assert_eq!(receiver.asks("POST /anpr", POST).await, 200);
    assert_eq!(files(receiver.dir.path()), [b"<event/>"]);
    assert!(!receiver.stop().await.path().join("pictures").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_not_answered_with_200() {
    let receiver = Receiver::start(|config| config).await;
    assert_eq!(receiver.asks("GET /anpr", b"").await, 405);
    assert_eq!(receiver.asks("POST /other", POST).await, 404);
    assert_eq!(receiver.asks("POST /anpr", &[b'x'; 5000]).await, 413);
    fs::remove_dir_all(receiver.dir.path()).expect("removed");
    assert_eq!(receiver.asks("POST /anpr", b"<bare/>").await, 503);
    assert_eq!((receiver.stats.posts.get(), receiver.stats.posts_lost.get()), (0, 2));
    receiver.stop().await;
}

#[test]
fn every_mistake_of_the_receiver_is_named() {
    let dir = TempDir::new().expect("a folder");
    let wrong = PostsConfig { path: "anpr".into(), dir: dir.path().join("nowhere"), max_body: 0, max_connections: 0, ..config(&dir) };
    let mut problems = Problems::default();
    wrong.check("huong.toml", "posts", &mut problems);
    let paths: Vec<&str> = problems.list.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["posts.path", "posts.dir", "posts.max_body", "posts.max_connections"]);
}
