//! Takes what Vite built (`ui/dist`) into the binary, each file as it is and compressed. Without it there is nothing to take, and the
//! pages say what to run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let dist = root.join("ui/dist");
    // A folder that is not there would have this run, and everything behind it compiled, at every build.
    fs::create_dir_all(&dist)?;
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    list(&dist, &dist, &mut files)?;
    files.sort();
    let mut table = "const FILES: &[File] = &[\n".to_owned();
    for (n, name) in files.iter().enumerate() {
        let file = dist.join(name);
        let mut packed = GzEncoder::new(fs::File::create(out.join(format!("{n}.gz")))?, Compression::best());
        packed.write_all(&fs::read(&file)?)?;
        packed.finish()?;
        let line =
            "    File { name: {name}, plain: include_bytes!({file}), packed: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{n}.gz\")) },\n";
        let line = line.replace("{name}", &format!("{name:?}")).replace("{file}", &format!("{:?}", file.display().to_string()));
        write!(table, "{}", line.replace("{n}", &n.to_string())).expect("a string grows");
    }
    table.push_str("];\n");
    fs::write(out.join("files.rs"), table)
}

/// The files below `dir`, by their paths from `root`.
fn list(root: &Path, dir: &Path, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.push(name.to_owned());
        }
    }
    Ok(())
}
