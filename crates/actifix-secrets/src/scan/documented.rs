//! Values that vendors print in their documentation. They are kept as hashes, so that this file holds no value that a
//! scanner would report.

/// The first 8 bytes of the BLAKE3 hash of each value.
const DOCUMENTED: &[u64] = &[];

/// Whether a value is a documented example.
pub(crate) fn is_documented(value: &[u8]) -> bool {
    if !(12..=512).contains(&value.len()) {
        return false;
    }
    let hash = blake3::hash(value);
    let Ok(head) = <[u8; 8]>::try_from(hash.as_bytes().get(..8).unwrap_or(&[])) else { return false };
    DOCUMENTED.contains(&u64::from_be_bytes(head))
}

/// Numbers that payment services publish for tests; they all have a valid check digit.
const TEST_CARDS: &[&str] = &[
    "4242424242424242",
    "4111111111111111",
    "4000056655665556",
    "5555555555554444",
    "2223003122003222",
    "5200828282828210",
    "5105105105105100",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "6011000990139424",
    "3056930009020004",
    "36227206271667",
    "3566002020360505",
    "6200000000000005",
    "4012888888881881",
    "4222222222222",
    "378734493671000",
    "38520000023237",
    "30569309025904",
    "3530111333300000",
    "6011981111111113",
    "6205500000000000004",
    "4917610000000000",
    "5454545454545454",
    "4462030000000000",
    "4917300800000000",
    "5425233430109903",
    "2222420000001113",
    "4263982640269299",
    "374245455400126",
    "4000002500003155",
    "4000000000009995",
    "4000000000000002",
    "4000000000000069",
    "4000000000000119",
    "4000000000000127",
    "4000000000000077",
    "4000000000000341",
    "4000000000003220",
    "4007000000027",
    "5424000000000015",
    "4012000033330026",
    "4508750015741019",
    "6304000000000000",
    "5063516945005047",
];

/// Whether the digits are a published test card, or a number that nobody would be given: half of it zeros or one digit.
pub(crate) fn is_test_card(digits: &[u8]) -> bool {
    let most = (b'0'..=b'9').map(|digit| digits.iter().filter(|b| **b == digit).count()).max().unwrap_or(0);
    most * 2 > digits.len() || TEST_CARDS.iter().any(|card| card.as_bytes() == digits)
}
