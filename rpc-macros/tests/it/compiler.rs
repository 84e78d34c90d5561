//! Compiles single files against `rpc-core`, and reads what the compiler says.
//!
//! Diagnostics are compared as substrings at lines and not as rendered text, which changes with
//! every release of the compiler.

use serde_json::Value;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

/// One thing that the compiler said.
#[derive(Debug)]
pub(crate) struct Diagnostic {
    pub(crate) is_error: bool,
    /// Of the primary span in the file; 0 if it is elsewhere.
    pub(crate) line: usize,
    /// Message, labels, notes and help.
    pub(crate) text: String,
}

/// What the cases are compiled against.
struct Dependencies {
    /// Crate name and file.
    crates: Vec<(String, PathBuf)>,
    folder: PathBuf,
}

static DEPENDENCIES: LazyLock<Dependencies> = LazyLock::new(|| {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--offline", "--package", "rpc-core", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = |name: &str| {
        let file = lines(&output.stdout).find_map(|message| library(&message, name));
        (name.to_owned(), file.unwrap_or_else(|| panic!("{name} was not built")))
    };
    let crates: Vec<_> = ["rpc_core", "serde", "tokio"].map(built).into();
    let folder = crates[1].1.parent().expect("in a folder").to_owned();
    Dependencies { crates, folder }
});

/// The file of the library that this message of cargo announces.
fn library(message: &Value, name: &str) -> Option<PathBuf> {
    let target = &message["target"];
    let is_library = target["crate_types"].as_array()?.iter().any(|kind| kind == "lib");
    if message["reason"] != "compiler-artifact" || target["name"] != name || !is_library {
        return None;
    }
    let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
    files.map(PathBuf::from).find(|file| file.extension().is_some_and(|kind| kind == "rlib"))
}

/// Every case in a folder under `tests`, sorted.
pub(crate) fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let files = fs::read_dir(&folder).expect("the folder exists");
    let mut files: Vec<_> = files.map(|entry| entry.expect("is readable").path()).collect();
    files.sort();
    // For working on one case: `CASE=two_mistakes cargo test -p rpc-macros`.
    if let Ok(wanted) = env::var("CASE") {
        files.retain(|file| name(file).contains(&wanted));
    }
    files
}

/// The name of a case.
pub(crate) fn name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Type-checks a file.
pub(crate) fn check(file: &Path) -> Vec<Diagnostic> {
    let output = compile("rustc", file, &["--emit=metadata", "--error-format=json"]);
    diagnostics(file, &output)
}

/// Type-checks a file with every lint that clippy has on by request. `None` without clippy.
pub(crate) fn lint(file: &Path) -> Option<Vec<Diagnostic>> {
    let driver = sysroot().join("bin/clippy-driver");
    let options = [
        "--emit=metadata",
        "--error-format=json",
        "-Wclippy::pedantic",
        "-Wclippy::nursery",
        "-Wclippy::cargo",
        "-Wunused_qualifications",
        "-Wunreachable_pub",
        "-Wmissing_debug_implementations",
        "-Welided_lifetimes_in_paths",
        "-Wunused_lifetimes",
        "-Wsingle_use_lifetimes",
        "-Wtrivial_casts",
        "-Wredundant_lifetimes",
        "-Wunit_bindings",
        "-Wimpl_trait_redundant_captures",
    ];
    driver.exists().then(|| diagnostics(file, &compile(&driver.to_string_lossy(), file, &options)))
}

/// Builds and runs a file; panics with what it printed if it fails.
pub(crate) fn run(file: &Path) {
    let output = compile("rustc", file, &["--emit=link"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ran = Command::new(scratch().join(name(file))).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn compile(compiler: &str, file: &Path, options: &[&str]) -> Output {
    let dependencies = &*DEPENDENCIES;
    let edition = if name(file).ends_with("_2021") { "2021" } else { "2024" };
    let mut command = Command::new(compiler);
    command
        .arg(file)
        .args(["--edition", edition, "--crate-type=bin"])
        .args(options)
        .arg("--out-dir")
        .arg(scratch())
        .arg("-L")
        .arg(format!("dependency={}", dependencies.folder.display()))
        .env("CARGO_PKG_NAME", "cases");
    for (name, file) in &dependencies.crates {
        command.arg("--extern").arg(format!("{name}={}", file.display()));
    }
    command.output().expect("the compiler runs")
}

fn scratch() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases");
    fs::create_dir_all(&folder).expect("the target directory is writable");
    folder
}

fn sysroot() -> PathBuf {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc runs");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn diagnostics(file: &Path, output: &Output) -> Vec<Diagnostic> {
    let said: Vec<_> = lines(&output.stderr).filter_map(|d| diagnostic(file, &d)).collect();
    let is_silent_failure = !output.status.success() && !said.iter().any(|d| d.is_error);
    assert!(!is_silent_failure, "{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn diagnostic(file: &Path, message: &Value) -> Option<Diagnostic> {
    let spans = message["spans"].as_array().map_or(&[][..], Vec::as_slice);
    let level = message["level"].as_str()?;
    if spans.is_empty() || !matches!(level, "error" | "warning") {
        return None;
    }
    let here =
        |span: &&Value| span["is_primary"] == true && span["file_name"].as_str() == file.to_str();
    let line = spans.iter().find(here).and_then(|span| span["line_start"].as_u64()).unwrap_or(0);
    let mut text = message["message"].as_str()?.to_owned();
    let labels = spans.iter().filter_map(|span| span["label"].as_str());
    let children = message["children"].as_array()?.iter().filter_map(|c| c["message"].as_str());
    for part in labels.chain(children) {
        text.push('\n');
        text.push_str(part);
    }
    let line = usize::try_from(line).ok()?;
    Some(Diagnostic { is_error: level == "error", line, text })
}

fn lines(json: &[u8]) -> impl Iterator<Item = Value> {
    json.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}
