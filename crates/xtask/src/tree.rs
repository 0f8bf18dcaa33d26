//! The files of the repository. It never looks at what git does not keep.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory that holds the workspace.
#[must_use]
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lies two levels below the root")
}

/// One file that git keeps, or would keep if it were added now.
#[derive(Debug)]
pub struct File {
    /// Its path below the root.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl File {
    /// Its lines with their numbers, as `path:line: text` for messages.
    pub fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(i, line)| (format!("{}:{}: {line}", self.path.display(), i + 1), line))
    }
}

/// All text files of the repository, by path.
///
/// # Panics
/// Outside of a git work tree, or if a file cannot be read.
#[must_use]
pub fn files() -> Vec<File> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let mut files = Vec::new();
    for path in String::from_utf8(listed.stdout).expect("paths are UTF-8").split_terminator('\0') {
        // A file that was deleted and not yet committed is listed, but gone.
        let Ok(bytes) = std::fs::read(root().join(path)) else { continue };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.into(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The names of all documents: those at the root of the repository, and those below `docs`.
///
/// # Panics
/// As [`files`], and if one is missing that readers look for.
#[must_use]
pub fn documents() -> Vec<String> {
    let is_document = |path: &Path| {
        let is_at_the_root = path.parent() == Some(Path::new(""));
        path.extension() == Some("md".as_ref()) && (is_at_the_root || path.starts_with("docs"))
    };
    let paths = files().into_iter().map(|file| file.path).filter(|path| is_document(path));
    let documents: Vec<_> = paths.map(|path| path.display().to_string()).collect();
    for name in ["README.md", "DESIGN.md", "SAFETY.md", "CHANGELOG.md", "docs/README.md"] {
        assert!(documents.iter().any(|found| found == name), "{name} is not among {documents:?}");
    }
    documents
}
