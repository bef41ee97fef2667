//! Converts the data files to JSON, because parsing them as YAML would slow down every command.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=data");
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    for entry in fs::read_dir("data")? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".yaml")) else {
            continue;
        };
        let data: serde_json::Value = serde_saphyr::from_str(&fs::read_to_string(&path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        fs::write(Path::new(&out).join(format!("{name}.json")), serde_json::to_string(&data)?)?;
    }
    Ok(())
}
