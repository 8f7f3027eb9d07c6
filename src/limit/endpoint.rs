//! What requests have in common: a path in which all that looks like an id counts as the same.

/// The parts of a path between slashes; a number, a UUID or long hex is `{id}`.
pub fn folded(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').map(|part| if is_id(part) { "{id}" } else { part })
}

/// Hex digits from which on a part is an id and no word: MD5 has 32, an ObjectId of MongoDB 24,
/// a trace 16.
const HEX_MIN: usize = 16;

/// The lengths of the groups of a UUID (RFC 9562, 4).
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

fn is_id(part: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_uuid = || part.split('-').map(str::len).eq(UUID) && part.split('-').all(is_hex);
    is_number || (part.len() >= HEX_MIN && is_hex(part)) || is_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_folded() {
        let check = |path: &str, expected: &str| {
            assert_eq!(folded(path).collect::<Vec<_>>().join("/"), expected, "{path}");
        };
        check("/users/17/posts/0", "/users/{id}/posts/{id}");
        check("/users/me/v2", "/users/me/v2");
        check("/o/123e4567-e89b-12d3-a456-426614174000/", "/o/{id}/");
        check("/o/123e4567-e89b-12d3-a456-42661417400g", "/o/123e4567-e89b-12d3-a456-42661417400g");
        check("/o/507f1f77bcf86cd799439011", "/o/{id}");
        check("/o/DEADBEEF", "/o/DEADBEEF");
        check("/", "/");
        check("*", "*");
        check("/1.5/-1", "/1.5/-1");
    }
}
