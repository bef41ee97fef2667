//! Container images without a container engine: programs and their library closure, written as an OCI archive.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::spawn::{CommandError, Run};

/// Registry name of all images that are made here; nothing is ever pulled from it.
pub const REGISTRY: &str = "seatrial.local";

/// An image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A program that belongs into the image is not installed.
    #[error(
        "{program} is not installed, and goes into the images; install it with: apt-get install {package}"
    )]
    Missing {
        /// Program.
        program: String,
        /// Debian package.
        package: String,
    },
    /// The libraries of a program could not be listed.
    #[error("the libraries of {} could not be listed", program.display())]
    Libraries {
        /// Program.
        program: PathBuf,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// A file could not be read or written.
    #[error("{} could not be {verb}", path.display())]
    Io {
        /// File.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
    move |source| ImageError::Io { path: path.to_owned(), verb: "read", source }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
    move |source| ImageError::Io { path: path.to_owned(), verb: "written", source }
}

/// One layer, an uncompressed tar on disk.
#[derive(Clone, Debug)]
pub struct Layer {
    file: PathBuf,
    digest: String,
    size: u64,
}

impl Layer {
    /// The tar.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The first twelve hexadecimal digits of its digest: what makes a tag content-addressed.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.digest[..12]
    }
}

/// Builds a layer file by file.
pub struct LayerBuilder {
    path: PathBuf,
    tar: tar::Builder<File>,
    seen: BTreeSet<String>,
}

impl LayerBuilder {
    /// A new layer, written to `path`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self, ImageError> {
        let tar = tar::Builder::new(File::create(path).map_err(write_error(path))?);
        Ok(Self { path: path.to_owned(), tar, seen: BTreeSet::new() })
    }

    /// Adds a program at `target` with the libraries that `ldd` prints for it.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub async fn program(&mut self, source: &Path, target: &str) -> Result<(), ImageError> {
        self.file(source, target)?;
        for library in libraries(source).await? {
            let target = library.to_string_lossy().into_owned();
            self.file(&library, &target)?;
        }
        Ok(())
    }

    /// Adds a program of another root file system, with the libraries that it has there.
    ///
    /// # Errors
    /// When a file cannot be read or written, or `ldd` fails there.
    pub async fn program_of(&mut self, root: &Path, target: &str) -> Result<(), ImageError> {
        let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
        let program = Path::new(target);
        let listed =
            Run::new("chroot").args([root.as_os_str(), "ldd".as_ref(), target.as_ref()]).output().await;
        let listed =
            listed.map_err(|source| ImageError::Libraries { program: program.to_owned(), source })?;
        self.file(&below(program), target)?;
        for library in parse_ldd(&listed) {
            self.file(&below(&library), &library.to_string_lossy())?;
        }
        Ok(())
    }

    /// Adds one file, executable.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn file(&mut self, source: &Path, target: &str) -> Result<(), ImageError> {
        if !self.seen.insert(target.to_owned()) {
            return Ok(());
        }
        let file = File::open(source).map_err(read_error(source))?;
        let size = file.metadata().map_err(read_error(source))?.len();
        let mut header = header(tar::EntryType::Regular, 0o755);
        header.set_size(size);
        self.tar
            .append_data(&mut header, target.trim_start_matches('/'), file)
            .map_err(write_error(&self.path))
    }

    /// Adds a symbolic link at `target` that points to `to`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn link(&mut self, target: &str, to: &str) -> Result<(), ImageError> {
        let mut header = header(tar::EntryType::Symlink, 0o777);
        self.tar.append_link(&mut header, target.trim_start_matches('/'), to).map_err(write_error(&self.path))
    }

    /// Adds an empty folder, open to everyone.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn folder(&mut self, target: &str) -> Result<(), ImageError> {
        let mut header = header(tar::EntryType::Directory, 0o1777);
        self.tar
            .append_data(&mut header, target.trim_start_matches('/'), std::io::empty())
            .map_err(write_error(&self.path))
    }

    /// Closes the layer and computes its digest.
    ///
    /// # Errors
    /// When it cannot be written or read again.
    pub fn finish(self) -> Result<Layer, ImageError> {
        let path = self.path;
        self.tar.into_inner().and_then(|mut file| file.flush()).map_err(write_error(&path))?;
        let mut file = File::open(&path).map_err(read_error(&path))?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer).map_err(read_error(&path))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            size += read as u64;
        }
        Ok(Layer { file: path, digest: hex(&hash.finalize()), size })
    }
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header.set_mtime(0);
    header
}

/// The libraries and the loader of a dynamically linked program; none for a static one.
async fn libraries(program: &Path) -> Result<Vec<PathBuf>, ImageError> {
    match Run::new("ldd").args([program]).output().await {
        Ok(text) => Ok(parse_ldd(&text)),
        Err(e) if e.output.contains("not a dynamic executable") => Ok(Vec::new()),
        Err(source) => Err(ImageError::Libraries { program: program.to_owned(), source }),
    }
}

fn parse_ldd(text: &str) -> Vec<PathBuf> {
    let path = |line: &str| {
        let line = line.trim();
        let path = line.split_once("=> ").map_or(line, |(_, path)| path);
        let path = path.split_whitespace().next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    text.lines().filter_map(path).collect()
}

/// Where a host program is, or the package that brings it.
///
/// # Errors
/// When it is not installed.
pub fn host_program(program: &str, package: &str) -> Result<PathBuf, ImageError> {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    which::which_in(program, Some(places), "/")
        .map_err(|_missing| ImageError::Missing { program: program.to_owned(), package: package.to_owned() })
}

/// An image: layers, a name and what runs in it.
#[derive(Clone, Debug)]
pub struct Image {
    /// Full reference, such as `seatrial.local/probe:1f2e3d4c5b6a`.
    pub reference: String,
    /// Layers, bottom first.
    pub layers: Vec<Layer>,
    /// What the container runs when the pod names no command.
    pub entrypoint: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
}

/// Writes images into one OCI archive that `ctr images import` reads.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write_archive(path: &Path, images: &[Image]) -> Result<(), ImageError> {
    let mut archive = Archive {
        tar: tar::Builder::new(File::create(path).map_err(write_error(path))?),
        seen: BTreeSet::new(),
        path: path.to_owned(),
    };
    archive.bytes("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes())?;
    let mut manifests = Vec::new();
    for image in images {
        manifests.push(archive.image(image)?);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    archive.bytes("index.json", index.to_string().as_bytes())?;
    archive.tar.finish().map_err(write_error(path))
}

struct Archive {
    tar: tar::Builder<File>,
    seen: BTreeSet<String>,
    path: PathBuf,
}

impl Archive {
    fn image(&mut self, image: &Image) -> Result<Value, ImageError> {
        for layer in &image.layers {
            self.layer(layer)?;
        }
        let path = ("PATH".to_owned(), "/usr/sbin:/usr/bin".to_owned());
        let env = std::iter::once(&path).chain(&image.env);
        let env: Vec<String> = env.map(|(key, value)| format!("{key}={value}")).collect();
        let diff_ids: Vec<String> = image.layers.iter().map(|l| format!("sha256:{}", l.digest)).collect();
        let config = self.blob(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": image.entrypoint, "Env": env, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }))?;
        let layers: Vec<Value> = image
            .layers
            .iter()
            .map(|l| descriptor("application/vnd.oci.image.layer.v1.tar", &l.digest, l.size))
            .collect();
        let manifest = self.blob(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config.0, config.1),
            "layers": layers,
        }))?;
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest.0, manifest.1);
        entry["annotations"] = json!({"io.containerd.image.name": image.reference});
        Ok(entry)
    }

    fn layer(&mut self, layer: &Layer) -> Result<(), ImageError> {
        if !self.seen.insert(layer.digest.clone()) {
            return Ok(());
        }
        let file = File::open(&layer.file).map_err(read_error(&layer.file))?;
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_size(layer.size);
        let name = format!("blobs/sha256/{}", layer.digest);
        self.tar.append_data(&mut header, name, file).map_err(write_error(&self.path))
    }

    fn blob(&mut self, value: &Value) -> Result<(String, u64), ImageError> {
        let text = value.to_string();
        let digest = hex(&Sha256::digest(&text));
        if self.seen.insert(digest.clone()) {
            self.bytes(&format!("blobs/sha256/{digest}"), text.as_bytes())?;
        }
        Ok((digest, text.len() as u64))
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let mut header = header(tar::EntryType::Regular, 0o644);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, name, bytes).map_err(write_error(&self.path))
    }
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        if write!(text, "{byte:02x}").is_err() {
            unreachable!("a String takes every byte");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_output_gives_libraries_and_loader() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(parse_ldd(text), ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from));
    }

    #[test]
    fn images_of_one_layer_share_its_blob() {
        let folder = tempfile::tempdir().unwrap();
        let mut builder = LayerBuilder::create(&folder.path().join("layer.tar")).unwrap();
        builder.file(Path::new("/etc/hostname"), "/etc/hostname").unwrap();
        let layer = builder.finish().unwrap();
        let image = |name: &str| Image {
            reference: format!("{REGISTRY}/{name}:{}", layer.short()),
            layers: vec![layer.clone()],
            entrypoint: vec![name.to_owned()],
            env: vec![],
        };
        let path = folder.path().join("images.tar");
        write_archive(&path, &[image("a"), image("b")]).unwrap();
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let names: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        // oci-layout, the layer, two configurations, two manifests, the index.
        assert_eq!(names.len(), 7, "{names:?}");
    }

    #[test]
    fn missing_program_names_its_package() {
        let error = host_program("no-such-program", "some-package").unwrap_err();
        assert!(error.to_string().ends_with("apt-get install some-package"), "{error}");
    }
}
