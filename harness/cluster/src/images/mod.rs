//! Container images without a container engine: programs and their libraries, written as an OCI archive.

mod archive;
mod layer;

use std::path::{Path, PathBuf};

pub use self::archive::write_archive;
pub use self::layer::{Layer, LayerBuilder};
use crate::spawn::CommandError;

/// Registry name of all images that are built here; nothing is ever pulled from it.
pub const REGISTRY: &str = "seatrial.local";

/// An image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A program of the image is not installed.
    #[error(
        "{program} is not installed, but is part of the images; install it with: apt-get install {package}"
    )]
    Missing {
        /// The program.
        program: String,
        /// Its Debian package.
        package: String,
    },
    /// The libraries of a program could not be listed.
    #[error("the libraries of {} could not be listed", program.display())]
    Libraries {
        /// The program.
        program: PathBuf,
        /// The cause.
        #[source]
        source: CommandError,
    },
    /// A file could not be read or written.
    #[error("{} could not be {verb}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// The cause.
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

/// The path of a program of the host, or the package to install.
///
/// # Errors
/// When it is not installed.
pub fn host_program(program: &str, package: &str) -> Result<PathBuf, ImageError> {
    let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    which::which_in(program, Some(places), "/")
        .map_err(|_missing| ImageError::Missing { program: program.to_owned(), package: package.to_owned() })
}

/// An image: layers, a name and an entrypoint.
#[derive(Clone, Debug)]
pub struct Image {
    /// Full reference, such as `seatrial.local/probe:1f2e3d4c5b6a`.
    pub reference: String,
    /// Layers, bottom first.
    pub layers: Vec<Layer>,
    /// The command of containers whose pod has none.
    pub entrypoint: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
}

fn header(kind: tar::EntryType, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(0);
    header.set_mtime(0);
    header
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
    fn missing_program_names_its_package() {
        let error = host_program("no-such-program", "some-package").unwrap_err();
        assert!(error.to_string().ends_with("apt-get install some-package"), "{error}");
    }
}
