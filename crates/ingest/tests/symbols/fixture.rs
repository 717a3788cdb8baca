//! Programs to take names from, and captures that point into them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use coldcase_ingest::capture::{
    BuildId, Call, Capture, Location, Mode, Module, ModuleKind, Symbol, WhyNoSymbol,
};
use coldcase_ingest::symbols::{SymbolReport, SymbolSources, resolve};
use object::read::{Object, ObjectSegment, ObjectSymbol};
use tempfile::TempDir;

/// `inner` is inlined into `outer`; its call to `leaf` stands on line 4, its own on line 7.
const SOURCE: &str = "\
int leaf(int x);
static int seen;
static inline __attribute__((always_inline)) int inner(int x) {
    return leaf(x) * 3;
}
__attribute__((noinline)) int outer(int x) {
    return inner(x) + 1;
}
__attribute__((noinline)) int leaf(int x) {
    __asm__ volatile(\"\" ::: \"memory\");
    return x ^ ++seen;
}
int main(int argc, char **argv) {
    return outer(argc) + !argv;
}
";

/// The build id that the programs are linked with.
pub const BUILD_ID: &str = "abcdef0123456789abcdef0123456789abcdef01";
/// Where the capture says that the program was.
pub const PATH: &str = "/opt/db/bin/server";

/// A folder with a program in it.
pub struct Program {
    /// Removed at the end of the test.
    pub folder: TempDir,
}

impl Program {
    /// Compiles the source with these further arguments.
    pub fn build(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("server.c"), SOURCE).unwrap();
        fs::create_dir_all(folder.path().join("root/opt/db/bin")).unwrap();
        let program = Self { folder };
        let id = format!("-Wl,--build-id=0x{BUILD_ID}");
        let common = ["-O2", "-g", &id, "-o", "root/opt/db/bin/server", "server.c"];
        program.run("gcc", &[&common[..], arguments].concat());
        program
    }

    /// Runs a tool in the folder.
    pub fn run(&self, tool: &str, arguments: &[&str]) {
        let output =
            Command::new(tool).args(arguments).current_dir(self.folder.path()).output().unwrap();
        assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The folder that stands for the captured machine's root.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The program.
    pub fn binary(&self) -> PathBuf {
        self.root().join("opt/db/bin/server")
    }

    /// Offsets in the file of a function's bytes but the first.
    pub fn offsets_in(&self, function: &str) -> Vec<u64> {
        let bytes = fs::read(self.binary()).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(function)).unwrap();
        let mut segments = file.segments();
        let segment = segments
            .find(|segment| {
                (segment.address()..segment.address() + segment.size()).contains(&symbol.address())
            })
            .unwrap();
        let start = symbol.address() - segment.address() + segment.file_range().0;
        (start + 1..start + symbol.size()).collect()
    }
}

/// A capture with one frame in the program for each offset.
pub fn capture(build_id: Option<&str>, offsets: &[u64]) -> Capture {
    capture_of(module(PATH, build_id), offsets)
}

/// A capture with one frame in the module for each offset.
pub fn capture_of(module: Module, offsets: &[u64]) -> Capture {
    let mut capture = Capture::default();
    let module = capture.modules.intern(module);
    for &offset in offsets {
        capture.frames.intern(Mode::User, Location::File { module, offset });
    }
    capture
}

/// A user module.
pub fn module(path: &str, build_id: Option<&str>) -> Module {
    let id = |hex: &str| {
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        BuildId(bytes.map(Result::unwrap).collect())
    };
    Module { path: path.to_owned(), kind: ModuleKind::User, build_id: build_id.map(id) }
}

/// Names from one folder only.
pub fn from(folder: &Path) -> SymbolSources {
    SymbolSources { symfs: vec![folder.to_owned()], ..SymbolSources::default() }
}

/// Resolves a capture of the program from one folder.
pub fn resolved(folder: &Path, offsets: &[u64]) -> (Capture, SymbolReport) {
    let mut capture = capture(Some(BUILD_ID), offsets);
    let report = resolve(&mut capture, &from(folder));
    (capture, report)
}

/// The calls of each frame; panics at one without a name.
pub fn calls(capture: &Capture) -> Vec<Vec<Call>> {
    let calls = capture.frames.iter().map(|(_, frame)| match &frame.symbol {
        Symbol::Known(calls) => calls.clone(),
        Symbol::Unknown(why) => panic!("no name: {why:?}"),
    });
    calls.collect()
}

/// Why no frame has a name; panics if one has, or if the reasons differ.
pub fn reason(capture: &Capture) -> WhyNoSymbol {
    let reasons = capture.frames.iter().map(|(_, frame)| match &frame.symbol {
        Symbol::Known(calls) => panic!("has a name: {calls:?}"),
        Symbol::Unknown(why) => *why,
    });
    let reasons: Vec<WhyNoSymbol> = reasons.collect();
    assert!(reasons.windows(2).all(|pair| pair[0] == pair[1]), "{reasons:?}");
    reasons[0]
}
