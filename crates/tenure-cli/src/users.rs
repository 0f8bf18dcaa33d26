//! The users of this machine, as messages name them.

/// A user, by name if /etc/passwd knows it: other directories of users may not answer.
pub(crate) fn name(number: u32) -> String {
    let uid = format!("uid {number}");
    login(number).map_or(uid.clone(), |name| format!("{name} ({uid})"))
}

/// The login name of a user, if /etc/passwd has it.
pub(crate) fn login(number: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.splitn(4, ':').collect();
        (fields.get(2)?.parse() == Ok(number)).then(|| fields[0].to_owned())
    })
}
