//! The file system of the file. A file on one that several hosts share is never opened: SQLite's
//! shared memory and the boot-time clock belong to one host.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error;
use crate::store::{StoreError, StoreErrorClass};

/// File systems that hosts share (or a guest and its host), by the name that
/// `/proc/self/mountinfo` gives.
const SHARED: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.davfs",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.goofys",
    "fuse.juicefs",
    "fuse.mount.davfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "smb2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];

/// The same by the magic number of statfs(2), for systems on which `/proc` is not mounted.
const SHARED_MAGIC: &[(u32, &str)] = &[
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x1983_0326, "beegfs"),
    (0x00c3_6400, "ceph"),
    (0xff53_4d42, "cifs"),
    (0x7375_7245, "coda"),
    (0x0116_1970, "gfs2"),
    (0x4750_4653, "gpfs"),
    (0x0bd0_0bd0, "lustre"),
    (0x0000_6969, "nfs"),
    (0x7461_636f, "ocfs2"),
    (0xfe53_4d42, "smb2"),
    (0x0000_517b, "smbfs"),
    (0x786f_4256, "vboxsf"),
];

/// Refuses a file on a file system that hosts share.
pub(super) fn check(file: &Path) -> Result<(), StoreError> {
    let place = if file.exists() { file } else { file.parent().unwrap_or(file) };
    let Some(kind) = shared_kind(place) else {
        return Ok(());
    };
    let message = format!(
        "{} lies on a network file system ({kind}); the embedded store is for one host and needs \
         a local disk: name a file there, or use a store that is made for several hosts",
        file.display()
    );
    Err(error::plain(StoreErrorClass::Config, message))
}

/// The first of `paths` that is a mount point. Without `/proc` the answer is `None`, and nothing is
/// opened at all.
pub(super) fn mount_point_among(paths: &[PathBuf]) -> Option<&PathBuf> {
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    let points: HashSet<_> = mount_points(&table).collect();
    paths.iter().find(|path| points.contains(path.as_os_str().as_bytes()))
}

/// The mount points in the bytes of `/proc/self/mountinfo`, with the escapes of blanks, tabs, line
/// breaks and backslashes (`\040`) undone.
fn mount_points(table: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let lines = table.split(|byte| *byte == b'\n');
    lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4)).map(unescaped)
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut rest = field;
    let mut plain = Vec::with_capacity(field.len());
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) if byte == b'\\' => {
                plain.push(escaped);
                rest = &behind[3..];
            }
            _ => {
                plain.push(byte);
                rest = behind;
            }
        }
    }
    plain
}

fn shared_kind(place: &Path) -> Option<String> {
    let magic = rustix::fs::statfs(place).ok().and_then(|fs| kind_of_magic(fs.f_type));
    magic.map(str::to_owned).or_else(|| kind(place).filter(|kind| SHARED.contains(&&**kind)))
}

/// The kind of the file system at `place`, by the name that the kernel gives.
pub(super) fn kind(place: &Path) -> Option<String> {
    let device = fs::metadata(place).ok()?.dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    kind_of_mount(&table, &device).map(str::to_owned)
}

fn kind_of_magic(magic: impl TryInto<i64>) -> Option<&'static str> {
    // The kernel's type may be signed, of 32 or of 64 bits. The low 32 bits are the number.
    let low = u32::try_from(magic.try_into().ok()? & 0xffff_ffff).ok()?;
    SHARED_MAGIC.iter().find(|(number, _)| *number == low).map(|(_, kind)| *kind)
}

/// The kind of the file system on `device`, from the text of `/proc/self/mountinfo`: fields,
/// then ` - `, then the kind (proc_pid_mountinfo(5)).
fn kind_of_mount<'a>(table: &'a str, device: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        (mount.split(' ').nth(2)? == device).then(|| kind.split(' ').next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
        36 35 98:0 / /mnt1 rw,noatime master:1 - ext4 /dev/root rw,errors=continue\n\
        37 35 0:44 / /mnt2 rw - fuse.sshfs me@host:/ rw,user_id=0\n\
        38 35 0:45 / /mnt3 rw shared:7 - nfs4 server:/export rw\n";

    #[test]
    fn file_systems_of_several_hosts_are_told_by_their_name() {
        let shared = |device| kind_of_mount(TABLE, device).filter(|kind| SHARED.contains(kind));
        assert_eq!(kind_of_mount(TABLE, "98:0"), Some("ext4"));
        assert_eq!(shared("98:0"), None);
        assert_eq!(shared("0:44"), Some("fuse.sshfs"));
        assert_eq!(shared("0:45"), Some("nfs4"));
        assert_eq!(shared("0:46"), None);
    }

    #[test]
    fn a_mount_point_is_found_whatever_bytes_it_has() {
        let table = b"36 35 98:0 / /mnt1 rw - ext4 /dev/root rw\n\
            37 35 98:0 /f /a\\040b\\134c/locks.db rw - ext4 /dev/root rw\n";
        let points: Vec<_> = mount_points(table).collect();
        assert_eq!(points, [&b"/mnt1"[..], b"/a b\\c/locks.db"]);
        let paths = ["/proc/version".into(), "/proc".into()];
        assert_eq!(mount_point_among(&paths), Some(&paths[1]));
    }

    #[test]
    fn and_by_their_number_however_wide_the_kernels_word_is() {
        assert_eq!(kind_of_magic(0x6969_i64), Some("nfs"));
        assert_eq!(kind_of_magic(0xff53_4d42_i64), Some("cifs"));
        assert_eq!(kind_of_magic(0xff53_4d42_u32.cast_signed()), Some("cifs"));
        assert_eq!(kind_of_magic(0xef53_i64), None, "ext4");
    }
}
