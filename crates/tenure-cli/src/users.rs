//! The users of this machine, as messages name them.

/// A user, by name if /etc/passwd knows it: other directories of users may not answer.
pub(crate) fn name(number: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.splitn(4, ':').collect();
        (fields.get(2)?.parse() == Ok(number)).then(|| fields[0].to_owned())
    });
    let number = format!("uid {number}");
    name.map_or(number.clone(), |name| format!("{name} ({number})"))
}
