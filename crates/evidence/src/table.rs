//! `records.csv`: a row for each record, for the case system, under the names that the public look-up of violations uses.
//!
//! Invariant: UTF-8 with a byte order mark, and no cell that a spreadsheet would take for a formula.

use crate::EvidenceConfig;
use crate::EvidenceError;
use crate::law::Laws;
use crate::record::Record;
use crate::records::plate_of;
use crate::review::Review;
use crate::sheet::{law, location, status};

const HEAD: [&str; 16] = [
    "Biển kiểm soát",
    "Màu biển",
    "Loại phương tiện",
    "Thời gian",
    "Địa điểm",
    "Hành vi",
    "Trạng thái",
    "Đơn vị phát hiện",
    "Nơi giải quyết",
    "Căn cứ",
    "Mã điều khoản",
    "Mã hồ sơ",
    "Camera",
    "Biển số máy đọc",
    "Người duyệt",
    "SHA-256 hồ sơ",
];

/// A record with its reviews and the hash of its `record.json`.
pub(crate) type Row<'a> = (&'a Record, &'a [Review], &'a str);

pub(crate) fn write(rows: &[Row<'_>], laws: &Laws, config: &EvidenceConfig) -> Result<Vec<u8>, EvidenceError> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(vec![0xEF, 0xBB, 0xBF]);
    writer.write_record(HEAD)?;
    for (record, reviews, sha256) in rows {
        let by: Vec<&str> = reviews.iter().map(|review| review.by.as_str()).collect();
        let cells = [
            plate_of(record, reviews).unwrap_or_default().to_owned(),
            // A grey-scale or night picture does not tell: a person fills it in.
            String::new(),
            laws.vehicle(&record.label).to_owned(),
            record.began.vietnamese(),
            location(record),
            laws.act(record.act).to_owned(),
            status(reviews).to_owned(),
            config.unit.clone(),
            config.settled_at.clone(),
            law(record),
            record.code.as_ref().map(ToString::to_string).unwrap_or_default(),
            record.id.to_string(),
            record.camera.id.to_string(),
            record.plate.as_ref().map(|plate| plate.raw.clone()).unwrap_or_default(),
            by.join("; "),
            (*sha256).to_owned(),
        ];
        writer.write_record(cells.map(harmless))?;
    }
    writer.into_inner().map_err(|error| EvidenceError::Csv(error.into_error().into()))
}

/// Spreadsheets run what begins so.
fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOON, folder, laws, violation};

    #[test]
    fn the_table_is_what_the_case_system_reads() {
        let folder = folder();
        let mut records = folder.open();
        let mut odd = violation(1);
        odd.place = "=HYPERLINK(\"x\"), \"bắc\"".into();
        if let Some(plate) = &mut odd.plate {
            plate.raw = "-75A".to_owned();
        }
        let id = folder.keep(&mut records, &odd);
        records.decide(&id, "Lan", crate::Decision::Accept, None, NOON).expect("new");
        let (record, reviews) = records.read(&id).expect("there");
        let bytes = write(&[(&record, &reviews, "ab")], &laws(), &folder.config).expect("works");
        let text = String::from_utf8(bytes).expect("UTF-8");
        let table = text.strip_prefix('\u{feff}').expect("a byte order mark");
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        assert_eq!(reader.headers().expect("a head").get(0), Some("Biển kiểm soát"));
        let row = reader.records().next().expect("one").expect("whole");
        let cells: Vec<&str> = row.iter().collect();
        assert_eq!(cells[0], "75A-123.45");
        assert_eq!(cells[2..4], ["Ô tô", "11:50:01, 27/10/2025"]);
        assert_eq!(cells[4], "Ngã sáu Hùng Vương (16.463700, 107.590900); =HYPERLINK(\"x\"), \"bắc\"");
        assert_eq!(cells[6], "Đã duyệt, chờ công an xác minh");
        assert_eq!(cells[10], "168/2024:6.9.b");
        assert_eq!(cells[13], "'-75A", "no formula");
        assert_eq!(cells[14..], ["Lan", "ab"]);
    }
}
