//! Just enough of protobuf's wire format to walk a request without holding it a second time.
//!
//! The generic decoder would make a list of all records first; a request of empty records (two bytes each)
//! would then grow twelvefold and more in memory. Here the members are visited in place.

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Calls `visit(tag, bytes)` for each length-delimited member of `message`, in order; others are skipped.
pub(super) fn members<'a>(
    message: &'a [u8],
    mut visit: impl FnMut(u64, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut rest = message;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let tag = key >> 3;
        if tag == 0 {
            return Err(Malformed);
        }
        match key & 7 {
            0 => {
                varint(&mut rest)?;
            }
            1 => {
                take(&mut rest, 8)?;
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).map_err(|_| Malformed)?;
                visit(tag, take(&mut rest, length)?)?;
            }
            5 => {
                take(&mut rest, 4)?;
            }
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = tail;
    Ok(head)
}

/// At most ten bytes, seven bits each, lowest first.
fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, tail) = rest.split_first().ok_or(Malformed)?;
        *rest = tail;
        if shift == 63 && *byte > 1 {
            return Err(Malformed);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}
