//! The images of a run: this program under the names of all its roles.

use futures_util::future::LocalBoxFuture;
use std::path::Path;

use cluster::images::{Image, Layer, LayerBuilder, REGISTRY};

use crate::roles;
use crate::scratch::Scratch;

/// One layer that all images share, on disk as long as this lives.
#[derive(Debug)]
pub struct Bundle {
    base: Layer,
    folder: Scratch,
}

impl Bundle {
    /// Packs the program `seatrial`.
    ///
    /// # Errors
    /// When the program is not found, or the layer cannot be written.
    pub fn new() -> LocalBoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(async move {
            let folder = Scratch::new("images-")?;
            let mut layer = LayerBuilder::create(&folder.path().join("base.tar"))?;
            layer.program(&crate::program::use_program()?, "/usr/bin/seatrial").await?;
            for role in roles::IN_IMAGES {
                layer.link(&format!("/usr/bin/{role}"), "seatrial")?;
            }
            layer.folder("/tmp")?;
            Ok(Self { base: layer.finish()?, folder })
        })
    }

    /// An image for one role, tagged by its content.
    pub fn role(&self, role: &str) -> Image {
        Image {
            reference: format!("{REGISTRY}/{role}:{}", self.base.short()),
            layers: vec![self.base.clone()],
            entrypoint: vec![format!("/usr/bin/{role}")],
            env: Vec::new(),
        }
    }

    /// A folder for what else belongs to the run; it is on disk as long as this lives.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
