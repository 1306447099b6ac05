//! Sealed parts in an S3 compatible bucket.
//!
//! Invariant: a part is written and synced here first, and read from here until the bucket has confirmed it; so a bucket that is down
//! costs room on this disk and nothing else. The manifest stays here; the bucket gets a copy of it after each change. Secrets come from
//! the environment or from files and are written nowhere.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::execution::object_store::ObjectStoreUrl;
use huong_types::{Name, Problems, Timestamp};
use object_store::aws::AmazonS3Builder;
use object_store::client::SpawnedReqwestConnector;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};

use crate::error::Context;
use crate::manifest::{self, Manifest, Part, Retired};
use crate::{StoreError, disk};

/// Section `[store.objects]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// `s3://bucket/prefix`.
    pub url: String,
    /// Of a server that is not Amazon's, such as `https://s3.example.vn`.
    #[serde(default)]
    pub endpoint: Option<String>,
    #[serde(default = "region")]
    pub region: String,
    /// Without TLS, for a server on this machine or in a closed network.
    #[serde(default)]
    pub allow_http: bool,
    /// Names of the environment variables with the credentials,
    #[serde(default = "access_key_env")]
    pub access_key_env: String,
    #[serde(default = "secret_key_env")]
    pub secret_key_env: String,
    /// .. or a file with the two of them, one a line.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn access_key_env() -> String {
    "AWS_ACCESS_KEY_ID".to_owned()
}

fn secret_key_env() -> String {
    "AWS_SECRET_ACCESS_KEY".to_owned()
}

impl Objects {
    /// Adds every mistake to `problems`; `path` is the section's name.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        if self.place().is_none() {
            problems.add(file, format!("{path}.url"), format!("`{}`", self.url), "s3://bucket or s3://bucket/prefix");
        }
        let plain = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        if plain && !self.allow_http {
            problems.add(file, format!("{path}.endpoint"), "no TLS", "https, or allow_http = true within a closed network");
        }
    }

    /// Bucket and prefix.
    fn place(&self) -> Option<(&str, &str)> {
        let rest = self.url.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        (!bucket.is_empty()).then_some((bucket, prefix.trim_end_matches('/')))
    }

    fn credentials(&self) -> Result<(String, String), StoreError> {
        let Some(path) = &self.credentials_file else {
            let read = |name: &str| std::env::var(name).map_err(|_| StoreError::Credentials(format!("no environment variable {name}")));
            return Ok((read(&self.access_key_env)?, read(&self.secret_key_env)?));
        };
        let text = fs::read_to_string(path).during("read", path)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        lines.next().zip(lines.next()).ok_or_else(|| StoreError::Credentials(format!("fewer than two lines in {}", path.display())))
    }
}

/// An open bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) url: ObjectStoreUrl,
    prefix: String,
}

impl Bucket {
    fn open(objects: &Objects) -> Result<Bucket, StoreError> {
        let (name, prefix) = objects.place().ok_or_else(|| StoreError::Credentials(format!("`{}` is no s3://bucket", objects.url)))?;
        let (key, secret) = objects.credentials()?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(&objects.region)
            .with_access_key_id(key)
            .with_secret_access_key(secret)
            .with_allow_http(objects.allow_http)
            // Connections outlive the runtimes of the queries that open them.
            .with_http_connector(SpawnedReqwestConnector::new(runtime()?.handle().clone()));
        if let Some(endpoint) = &objects.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let url = ObjectStoreUrl::parse(format!("s3://{name}"))?;
        Ok(Bucket { store: Arc::new(builder.build()?), url, prefix: prefix.to_owned() })
    }

    /// Where `path`, below the data directory, is in the bucket.
    pub(crate) fn key(&self, path: &str) -> Key {
        Key::from_iter(self.prefix.split('/').chain(path.split('/')).filter(|level| !level.is_empty()))
    }

    pub(crate) fn get(&self, path: &str) -> Result<bytes::Bytes, StoreError> {
        let key = self.key(path);
        Ok(runtime()?.block_on(async { self.store.get(&key).await?.bytes().await })?)
    }

    fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        runtime()?.block_on(self.store.put(&self.key(path), PutPayload::from(bytes)))?;
        Ok(())
    }

    /// One that is gone already is as good.
    pub(crate) fn remove(&self, path: &str) -> Result<(), StoreError> {
        match runtime()?.block_on(self.store.delete(&self.key(path))) {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            result => Ok(result?),
        }
    }
}

/// Serves the blocking calls above, and the connections of all.
fn runtime() -> Result<&'static tokio::runtime::Runtime, StoreError> {
    static RUNTIME: LazyLock<Result<tokio::runtime::Runtime, String>> = LazyLock::new(|| {
        let builder = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("objects").enable_all().build();
        builder.map_err(|error| error.to_string())
    });
    RUNTIME.as_ref().map_err(|error| StoreError::Task(error.clone()))
}

/// The bucket that the parts of `dir` are in, as [`use_objects`] left it. Connections are shared within the process.
pub(crate) fn bucket(dir: &Path) -> Result<Arc<Bucket>, StoreError> {
    static OPEN: LazyLock<Mutex<HashMap<Objects, Arc<Bucket>>>> = LazyLock::new(Mutex::default);
    let path = dir.join("objects.json");
    let objects: Objects = serde_json::from_slice(&fs::read(&path).during("read", &path)?)?;
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bucket) = open.get(&objects) {
        return Ok(Arc::clone(bucket));
    }
    let bucket = Arc::new(Bucket::open(&objects)?);
    open.insert(objects, Arc::clone(&bucket));
    Ok(bucket)
}

/// Notes in `objects.json`, for every reader of `dir`, where the parts are that [`ship`] takes away.
///
/// # Errors
/// When parts are in a bucket at another address: they must be brought there first.
pub fn use_objects(dir: &Path, objects: &Objects) -> Result<(), StoreError> {
    let path = dir.join("objects.json");
    let known: Option<Objects> = fs::read(&path).ok().map(|text| serde_json::from_slice(&text)).transpose()?;
    if known.as_ref() == Some(objects) {
        return Ok(());
    }
    let moved = known.filter(|known| (&known.url, &known.endpoint) != (&objects.url, &objects.endpoint));
    if let Some(known) = moved
        && Manifest::read(dir)?.parts.iter().any(|part| part.remote)
    {
        return Err(StoreError::Elsewhere { path, found: known.url, expected: objects.url.clone() });
    }
    disk::write_whole(&path, &serde_json::to_vec_pretty(objects)?)?;
    Ok(())
}

/// Takes the parts that are only here to the bucket, and a copy of the manifest; their files go after the period of grace
/// ([`crate::sweep`]). Returns how many. Blocking.
///
/// What a start reads stays here, so that none waits for a bucket: alerts, and readings that arrived since `needed` says of their stream.
///
/// # Errors
/// When the bucket refuses; what it has not confirmed stays here.
pub fn ship(dir: &Path, needed: &dyn Fn(&Name) -> Option<Timestamp>, stopped: &dyn Fn() -> bool) -> Result<usize, StoreError> {
    let _lock = manifest::lock(dir)?;
    let mut manifest = Manifest::read(dir)?;
    let bucket = bucket(dir)?;
    let local: Vec<Part> = manifest.parts.iter().filter(|part| !part.remote && !part.replayed(needed)).cloned().collect();
    let mut shipped = Vec::new();
    let mut outcome = Ok(());
    for part in local {
        if stopped() {
            break;
        }
        let path = dir.join(&part.path);
        outcome = fs::read(&path).during("read", &path).and_then(|bytes| bucket.put(&part.path, bytes));
        if outcome.is_err() {
            break;
        }
        shipped.push(part.path);
    }
    if !shipped.is_empty() {
        for part in manifest.parts.iter_mut().filter(|part| shipped.contains(&part.path)) {
            part.remote = true;
        }
        manifest.retired.extend(shipped.iter().map(|path| Retired::now(path.clone(), false)));
        manifest.publish(dir)?;
    }
    outcome.map(|()| shipped.len())
}

/// Puts a copy of the manifest beside the parts in the bucket.
pub(crate) fn copy_manifest(dir: &Path, text: Vec<u8>) -> Result<(), StoreError> {
    bucket(dir)?.put("manifest.json", text)
}

#[cfg(test)]
mod tests;
