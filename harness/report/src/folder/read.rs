//! Reading a run folder that may come from elsewhere: no link is followed, and every size has a bound.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::RunFolder;
use super::error::{FolderError, io_error};

/// The most files that a folder of a run may hold.
const MOST_FILES: usize = 100_000;
/// How deep folders of a run may be nested.
const DEPTH: usize = 8;
/// `O_NOFOLLOW | O_NONBLOCK`: fail for a link, and never wait for the other end of a pipe.
const FLAGS: rustix::fs::OFlags = rustix::fs::OFlags::NOFOLLOW.union(rustix::fs::OFlags::NONBLOCK);

impl RunFolder {
    /// Reads a file of the folder, given its path inside the folder and the most bytes that it may have.
    ///
    /// # Errors
    /// Fails when the file does not exist, is reached through a link, is no regular file, or is larger.
    pub fn read(&self, inside: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, FolderError> {
        let (file, path) = self.open_file(inside.as_ref())?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        if bytes.len() as u64 > limit { Err(FolderError::TooLarge { path, limit }) } else { Ok(bytes) }
    }

    /// Lists the files below a folder of the run, by their paths inside the run folder and in order of name. A folder that
    /// does not exist has none.
    ///
    /// # Errors
    /// Fails when a part of it is a link or anything else that no run writes, or when there are too many files.
    pub fn files(&self, inside: impl AsRef<Path>) -> Result<Vec<PathBuf>, FolderError> {
        let mut found = Vec::new();
        match self.collect(inside.as_ref(), DEPTH, &mut found) {
            Err(e) if e.is_not_found() && found.is_empty() => {}
            collected => collected?,
        }
        found.sort();
        Ok(found)
    }

    fn collect(&self, inside: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), FolderError> {
        let path = self.checked(inside)?;
        for entry in fs::read_dir(&path).map_err(io_error("read", &path))? {
            let entry = entry.map_err(io_error("read", &path))?;
            let inside = inside.join(entry.file_name());
            let kind = entry.file_type().map_err(io_error("read", &path))?;
            if kind.is_dir() && depth > 0 {
                self.collect(&inside, depth - 1, found)?;
            } else if kind.is_file() {
                found.push(inside);
            } else {
                return Err(FolderError::NotRegular(entry.path()));
            }
            if found.len() > MOST_FILES {
                return Err(FolderError::TooMany { path, limit: MOST_FILES });
            }
        }
        Ok(())
    }

    fn open_file(&self, inside: &Path) -> Result<(File, PathBuf), FolderError> {
        let path = self.checked(inside)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(FLAGS.bits().cast_signed())
            .open(&path)
            .map_err(io_error("read", &path))?;
        let regular = file.metadata().map_err(io_error("read", &path))?.is_file();
        if regular { Ok((file, path)) } else { Err(FolderError::NotRegular(path)) }
    }

    /// The path of a file or folder, none of whose parts below the run folder is a link.
    fn checked(&self, inside: &Path) -> Result<PathBuf, FolderError> {
        let mut path = self.path().to_owned();
        for part in inside.components() {
            path.push(part);
            if !matches!(part, Component::Normal(_)) {
                return Err(FolderError::NotRegular(path));
            }
            let kind = fs::symlink_metadata(&path).map_err(io_error("read", &path))?.file_type();
            if !kind.is_file() && !kind.is_dir() {
                return Err(FolderError::NotRegular(path));
            }
        }
        Ok(path)
    }
}

/// Whether there is a regular file, not reached through a link.
pub(super) fn is_regular(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn created() -> (tempfile::TempDir, RunFolder) {
        let base = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(base.path(), "r1").unwrap();
        fs::create_dir(folder.objects().join("installed")).unwrap();
        for name in ["b", "a"] {
            fs::write(folder.objects().join("installed").join(name), name).unwrap();
        }
        (base, folder)
    }

    #[test]
    fn files_are_listed_and_read_by_their_path_inside_the_folder() {
        let (_base, folder) = created();
        let files = folder.files("objects").unwrap();
        assert_eq!(files, ["objects/installed/a", "objects/installed/b"].map(PathBuf::from));
        assert_eq!(folder.read(&files[0], 1).unwrap(), b"a");
        assert_eq!(folder.files("none").unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn no_link_is_followed() {
        let (base, folder) = created();
        let secret = base.path().join("secret");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("key"), "hunter2").unwrap();
        symlink(secret.join("key"), folder.samples().join("key")).unwrap();
        symlink(&secret, folder.logs().join("folder")).unwrap();
        for inside in ["samples/key", "logs/folder/key", "../secret/key", "/etc/passwd"] {
            let error = folder.read(inside, 1 << 20).unwrap_err();
            assert!(matches!(error, FolderError::NotRegular(_)), "{inside}: {error}");
        }
        for inside in ["samples", "logs", "logs/folder", ".."] {
            let error = folder.files(inside).unwrap_err();
            assert!(matches!(error, FolderError::NotRegular(_)), "{inside}: {error}");
        }
    }

    #[test]
    fn a_record_that_is_a_link_is_no_run() {
        let (base, folder) = created();
        fs::write(base.path().join("other.json"), "{}").unwrap();
        symlink(base.path().join("other.json"), folder.run_json()).unwrap();
        assert!(matches!(RunFolder::open(folder.path()), Err(FolderError::NotARun(_))));
    }

    #[test]
    fn a_file_that_is_too_large_is_named_with_the_limit() {
        let (_base, folder) = created();
        File::create(folder.samples().join("big")).unwrap().set_len((1 << 20) + 1).unwrap();
        let error = folder.read("samples/big", 1 << 20).unwrap_err().to_string();
        assert!(error.ends_with("samples/big is larger than 1 MB, the limit for such a file"), "{error}");
    }

    #[test]
    fn a_device_is_not_read() {
        let (_base, folder) = created();
        let pipe = folder.samples().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert!(matches!(folder.read("samples/pipe", 1), Err(FolderError::NotRegular(_))));
    }
}
