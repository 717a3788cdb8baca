//! Links from a program to the file with its debug information, and from that to what several share.

use object::read::Object;

use super::binary;

/// A program's own word about its debug file (`.gnu_debuglink`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DebugLink {
    /// The file's name, without a folder.
    pub name: String,
    /// CRC-32 of the whole file.
    pub checksum: u32,
}

impl DebugLink {
    /// The link of a program, if it has one.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let file = binary::parse(bytes).ok()?;
        let (name, checksum) = file.gnu_debuglink().ok()??;
        let name = str::from_utf8(name).ok()?.to_owned();
        (!name.is_empty() && !name.contains('/')).then_some(Self { name, checksum })
    }

    /// Where debuggers look for it, from the program's own path.
    pub fn places(&self, program: &str) -> Vec<String> {
        let name = &self.name;
        let folder = program.rsplit_once('/').map_or("", |(folder, _)| folder);
        vec![
            format!("{folder}/{name}"),
            format!("{folder}/.debug/{name}"),
            format!("usr/lib/debug{folder}/{name}"),
            format!(".{folder}/{name}"),
            name.clone(),
        ]
    }

    /// Whether a file is the one that is meant.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        let mut checksum = flate2::Crc::new();
        checksum.update(bytes);
        checksum.sum() == self.checksum
    }
}

/// The file that debug files of one package share (`.gnu_debugaltlink`, made by `dwz`): its path and build id.
pub(super) fn shared_file(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let file = binary::parse(bytes).ok()?;
    let (path, id) = file.gnu_debugaltlink().ok()??;
    Some((String::from_utf8_lossy(path).into_owned(), id.to_vec()))
}
