//! Values that vendors print in their documentation. They are kept as hashes, so that this file holds no value that a
//! scanner would report.

/// The first 8 bytes of the BLAKE3 hash of each value.
const DOCUMENTED: &[u64] = &[
    0x1aab_c509_2dd9_4cbf,
    0x1e26_71df_4a43_21de,
    0x286e_3a91_f00e_bdbe,
    0x2fe5_0c7a_7801_50e5,
    0x4d3f_256a_7331_f681,
    0x864b_ab38_fcb7_b648,
    0x8e21_741c_dfdc_1bb8,
    0x914d_d124_c317_40e5,
    0x9860_fa36_4bab_42bf,
    0x9d99_172d_418a_2b86,
    0xa3fe_bad5_b530_1c28,
    0xa512_326e_817f_a61f,
    0xaf13_df0d_fee2_f6a0,
    0xb31a_b26a_6ac1_4949,
    0xbc7e_719b_8e24_b8d3,
    0xbdf8_a495_03aa_ccf0,
    0xceb3_2951_ed5b_ab78,
    0xd410_8a2a_2f94_4066,
    0xd6d4_b122_bda8_c692,
    0xd996_a14c_1ebb_e2f0,
    0xdd9e_d349_2872_1097,
    0xe0bc_86c5_e819_681a,
    0xe4ec_b7b2_1018_ba51,
    0xe832_2be1_fa3e_0aa3,
    0xeaee_eee4_577c_862c,
    0xfb45_97af_0a4a_8945,
];

/// Whether a value is a documented example.
pub(crate) fn is_documented(value: &[u8]) -> bool {
    if !(10..=512).contains(&value.len()) {
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
