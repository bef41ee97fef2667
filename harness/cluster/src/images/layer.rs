//! Layers: programs and their libraries, as a tar on disk.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{ImageError, header, hex, read_error, write_error};
use crate::spawn::Run;

/// One layer, an uncompressed tar on disk.
#[derive(Clone, Debug)]
pub struct Layer {
    pub(super) file: PathBuf,
    pub(super) digest: String,
    pub(super) size: u64,
}

impl Layer {
    /// The tar.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The first twelve hexadecimal digits of its digest, for content-addressed tags.
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
    /// When the file cannot be created.
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
        self.folders_of(target)?;
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
        self.add_folder(target.trim_start_matches('/'), 0o1777)
    }

    /// Adds the folders of a file: a runtime may close those that a layer does not list to all users but root.
    fn folders_of(&mut self, target: &str) -> Result<(), ImageError> {
        let target = target.trim_start_matches('/');
        for (end, _) in target.match_indices('/') {
            self.add_folder(&target[..end], 0o755)?;
        }
        Ok(())
    }

    fn add_folder(&mut self, name: &str, mode: u32) -> Result<(), ImageError> {
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let mut header = header(tar::EntryType::Directory, mode);
        self.tar.append_data(&mut header, name, std::io::empty()).map_err(write_error(&self.path))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_output_gives_libraries_and_loader() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(parse_ldd(text), ["/lib/x/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from));
    }

    /// Some runtimes close the folders that a layer does not list to all users but root, and probes run as another one.
    #[test]
    fn the_folders_of_a_file_are_listed_before_it_and_open_to_everyone() {
        let folder = tempfile::tempdir().unwrap();
        let (program, tar) = (folder.path().join("program"), folder.path().join("layer.tar"));
        std::fs::write(&program, "x").unwrap();
        let mut layer = LayerBuilder::create(&tar).unwrap();
        layer.folder("/tmp").unwrap();
        layer.file(&program, "/usr/bin/one").unwrap();
        layer.file(&program, "/usr/bin/two").unwrap();
        layer.file(&program, "/tmp/three").unwrap();
        layer.finish().unwrap();
        let mut archive = tar::Archive::new(File::open(&tar).unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
        });
        let expected = [
            ("tmp", 0o1777),
            ("usr", 0o755),
            ("usr/bin", 0o755),
            ("usr/bin/one", 0o755),
            ("usr/bin/two", 0o755),
            ("tmp/three", 0o755),
        ];
        let entries: Vec<_> = entries.collect();
        assert_eq!(entries.iter().map(|(path, mode)| (path.as_str(), *mode)).collect::<Vec<_>>(), expected);
    }
}
