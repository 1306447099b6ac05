//! The sheet of a record, for people: what domain and law call its fields, the pictures, the hashes. In Vietnamese.
//!
//! Invariant: it says nothing that the record and its reviews do not; it is derived, and says so.

use huong_types::Act;

use crate::EvidenceError;
use crate::crop::Method;
use crate::law::Laws;
use crate::pdf::{Document, Font};
use crate::record::{Picture, Record};
use crate::records::plate_of;
use crate::review::{Decision, Review};

/// Points that a picture may be high.
const PICTURE: f32 = 300.0;
const CROP: f32 = 60.0;

/// What a sheet is made of.
pub(crate) struct Sheet<'a> {
    pub(crate) record: &'a Record,
    /// Of `record.json`.
    pub(crate) sha256: &'a str,
    pub(crate) reviews: &'a [Review],
    /// In the order of the record's pictures: what may be shown of each, and how many places of it are hidden.
    pub(crate) pictures: &'a [(Vec<u8>, usize)],
    pub(crate) crop: Option<&'a [u8]>,
    pub(crate) laws: &'a Laws,
    pub(crate) unit: &'a str,
}

impl Sheet<'_> {
    /// The PDF.
    pub(crate) fn write(&self, font: &Font) -> Result<Vec<u8>, EvidenceError> {
        let mut sheet = Document::new(font)?;
        let record = self.record;
        sheet.text(15.0, "PHIẾU DỮ LIỆU VI PHẠM GHI NHẬN QUA CAMERA");
        sheet
            .text(8.5, "Bản dựng từ dữ liệu gốc để người đọc; chỉ các tệp gốc có giá trị đối chiếu. Cơ quan công an xác minh và kết luận.");
        sheet.text(8.5, "Trong các ảnh dưới đây, mặt người và biển số của xe khác đã được che; ảnh gốc giữ nguyên trong gói.");
        sheet.space(8.0);
        for (name, value) in self.fields() {
            sheet.field(name, &value);
        }
        if let Some((crop, facts)) = self.crop.zip(record.crop.as_ref()) {
            sheet.space(6.0);
            let how = match facts.method {
                Method::Lossless => "cắt không nén lại",
                Method::Reencoded => "cắt và nén lại",
            };
            sheet.text(8.5, &format!("Ảnh biển số: {} ({how} từ {})", facts.file, facts.from));
            sheet.space(4.0);
            sheet.picture(crop, None, CROP);
        }
        sheet.turn();
        for (picture, (jpeg, hidden)) in record.pictures.iter().zip(self.pictures) {
            sheet.picture(jpeg, Some(&picture.bbox), PICTURE);
            sheet.text(8.5, &caption(picture, *hidden));
            sheet.space(10.0);
        }
        sheet.space(6.0);
        sheet.text(11.0, "Mã băm SHA-256 của các tệp");
        sheet.field("record.json", self.sha256);
        for (name, fact) in &record.files {
            sheet.field(name, &fact.sha256);
        }
        sheet.finish(&record.id)
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let record = self.record;
        let mut fields = vec![
            ("Mã hồ sơ", record.id.to_string()),
            ("Biển kiểm soát", plate_of(record, self.reviews).unwrap_or("chưa đọc được").to_owned()),
            ("Loại phương tiện", self.laws.vehicle(&record.label).to_owned()),
            ("Thời gian", format!("{} (UTC {})", record.began.vietnamese(), record.began.utc)),
            ("Địa điểm", location(record)),
            ("Hành vi", self.laws.act(record.act).to_owned()),
            ("Căn cứ", law(record)),
            ("Trạng thái", status(self.reviews).to_owned()),
            ("Đơn vị phát hiện", self.unit.to_owned()),
            ("Camera", camera(record)),
            ("Lệch đồng hồ", record.clock.as_ref().map_or("chưa đo".to_owned(), |clock| format!("{} ms ({})", clock.millis, clock.source))),
        ];
        if let Some(plate) = &record.plate {
            let sure: Vec<String> = plate.characters.iter().map(|one| format!("{one:.2}")).collect();
            let read = plate.text.as_deref().unwrap_or("không đủ chắc chắn");
            fields.push((
                "Biển số máy đọc",
                format!("{read}; thô {}; độ tin cậy {:.2}; từng ký tự {}", plate.raw, plate.confidence, sure.join(" ")),
            ));
        }
        if record.act == Act::RedLight {
            let seen: Vec<String> = record.pictures.iter().filter_map(signal).collect();
            fields.push(("Pha đèn", seen.join("; ")));
        }
        let models: Vec<String> = record.models.iter().map(|model| format!("{} {}", model.name, model.sha256)).collect();
        fields.push(("Mô hình", models.join("; ")));
        let thresholds: Vec<String> = record.thresholds.iter().map(|(name, value)| format!("{name} {value}")).collect();
        fields.push(("Ngưỡng", thresholds.join("; ")));
        fields.push(("Phiên bản", format!("quy tắc {}; hình học vạch, vùng {}", record.rule_version, record.view_version)));
        for review in self.reviews {
            fields.push(("Người duyệt", format!("{}, {}: {}", review.by, review.at.vietnamese(), self.decision(review))));
        }
        fields
    }

    fn decision(&self, review: &Review) -> String {
        let what = match &review.decision {
            Decision::Accept => "chấp nhận".to_owned(),
            Decision::Reject { reasons } => {
                let known = self.laws.reasons();
                let reasons: Vec<&str> = reasons.iter().map(|reason| known.get(reason).map_or(reason.as_str(), String::as_str)).collect();
                format!("không chấp nhận ({})", reasons.join(", "))
            }
            Decision::Correct { plate } => {
                format!("sửa biển số {} thành {plate}", review.instead_of.as_deref().unwrap_or("chưa đọc được"))
            }
        };
        review.note.as_ref().map_or(what.clone(), |note| format!("{what}; {note}"))
    }
}

pub(crate) fn location(record: &Record) -> String {
    format!("{} ({:.6}, {:.6}); {}", record.camera.name, record.camera.lat, record.camera.lon, record.place)
}

pub(crate) fn law(record: &Record) -> String {
    match (&record.law, &record.code) {
        (Some(law), _) => {
            let points = if law.provision.points == 0 { String::new() } else { format!(", trừ {} điểm", law.provision.points) };
            let (provision, name, version) = (&law.provision, &law.law.name, &law.law.version);
            format!("{}: {}; {name}, bản hiệu lực {version}; {} triệu đồng{points}", provision.code, provision.text, provision.fine)
        }
        (None, Some(code)) => code.to_string(),
        (None, None) => "chưa xác định".to_owned(),
    }
}

/// What the review has come to.
pub(crate) fn status(reviews: &[Review]) -> &'static str {
    use crate::State::{Accepted, New, Rejected, Seconding, Void};
    match reviews.last().map_or(New, |review| review.state) {
        New | Void => "Chưa duyệt",
        Seconding => "Chờ người duyệt thứ hai",
        Accepted => "Đã duyệt, chờ công an xác minh",
        Rejected => "Không chấp nhận",
    }
}

fn camera(record: &Record) -> String {
    let heading = record.camera.heading.map_or(String::new(), |degrees| format!(", hướng {degrees:.0}°"));
    let certificate = record.camera.certificate.as_deref().unwrap_or("không có; dữ liệu là thông tin để công an xác minh");
    format!("{}{heading}; giấy kiểm định: {certificate}", record.camera.id)
}

fn caption(picture: &Picture, hidden: usize) -> String {
    let signal = signal(picture).map_or(String::new(), |signal| format!("; {signal}"));
    format!("{} ({}): {}{signal}; đã che {hidden} vùng", picture.file, picture.moment, picture.at.local)
}

fn signal(picture: &Picture) -> Option<String> {
    use huong_types::SignalState::{Green, Red, Unknown, Yellow};
    let sight = picture.signal.as_ref()?;
    let colour = match sight.state {
        Red => "đỏ",
        Yellow => "vàng",
        Green => "xanh",
        Unknown => "không rõ",
    };
    Some(format!("đèn {} {colour} (độ tin cậy {:.2}, nguồn {})", sight.signal, sight.confidence, sight.source))
}
