//! `[vision]`: the models, who looks when, and the settings of the pipeline.

use std::path::PathBuf;

use huong_infer::Provider;
use huong_types::{Name, Problems, Span};
use huong_vision::plate::PlateConfig;
use huong_vision::{
    FrameLimits, GateConfig, JudgeConfig, LightConfig, LookConfig, ScheduleConfig, SignalConfig, TrackerConfig, VisionConfig, ZoneConfig,
};
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VisionSection {
    /// Without it, frames are shown and not looked at.
    pub(crate) enabled: bool,
    /// The model's manifest.
    pub(crate) model: PathBuf,
    /// Those of the models that find and read number plates; without both no plate is read.
    pub(crate) plate_finder: Option<PathBuf>,
    pub(crate) plate_reader: Option<PathBuf>,
    /// Of the model that looks at riders' heads, and of that which looks for waste.
    pub(crate) helmets: Option<PathBuf>,
    pub(crate) waste: Option<PathBuf>,
    /// Threads that look at frames, each with its own sessions.
    pub(crate) workers: usize,
    pub(crate) schedule: ScheduleConfig,
    /// While an alarm of one of these rules stands, time goes to the cameras of floods.
    pub(crate) flood_rules: Vec<Name>,
    /// ONNX Runtime's shared library, or the folder of its Python wheel.
    pub(crate) runtime: PathBuf,
    /// What computes.
    pub(crate) provider: Provider,
    /// The plugin of the provider `openvino`, or the folder of its Python wheel.
    pub(crate) openvino: PathBuf,
    /// Zones, lines and signals of the cameras; without it none is judged.
    pub(super) views: Option<PathBuf>,
    limits: FrameLimits,
    gate: GateConfig,
    light: LightConfig,
    look: LookConfig,
    tracker: TrackerConfig,
    zones: ZoneConfig,
    signals: SignalConfig,
    plates: PlateConfig,
    judge: JudgeConfig,
    plate_wait: Span,
    riders: usize,
    rider_width: f32,
    waste_every: Span,
}

impl Default for VisionSection {
    fn default() -> Self {
        let VisionConfig {
            limits,
            gate,
            light,
            look,
            tracker,
            zones,
            signals,
            plates,
            judge,
            plate_wait,
            riders,
            rider_width,
            waste_every,
        } = VisionConfig::default();
        Self {
            enabled: true,
            model: "models/vehicles.toml".into(),
            plate_finder: None,
            plate_reader: None,
            helmets: None,
            waste: None,
            workers: 1,
            schedule: ScheduleConfig::default(),
            flood_rules: ["river-bd1", "river-bd2", "river-bd3"].map(Name::from).to_vec(),
            runtime: "vendor/ort".into(),
            provider: Provider::default(),
            openvino: "vendor/openvino".into(),
            views: None,
            limits,
            gate,
            light,
            look,
            tracker,
            zones,
            signals,
            plates,
            judge,
            plate_wait,
            riders,
            rider_width,
            waste_every,
        }
    }
}

impl VisionSection {
    /// Every mistake goes to `problems`; looks whether the files are there.
    pub(super) fn check(&self, file: &str, problems: &mut Problems) {
        self.pipeline().check(file, "vision", problems);
        self.schedule.check(file, "vision.schedule", problems);
        if !(1..=64).contains(&self.workers) {
            problems.add(file, "vision.workers", format!("`{}`", self.workers), "1 to 64");
        }
        if self.plate_finder.is_some() != self.plate_reader.is_some() {
            problems.add(file, "vision.plate_reader", "one of plate_finder and plate_reader", "both or neither");
        }
        if self.enabled {
            let mut needed =
                vec![("model", &self.model, "a model manifest"), ("runtime", &self.runtime, "ONNX Runtime (`make` fetches it)")];
            let more = [
                ("plate_finder", &self.plate_finder),
                ("plate_reader", &self.plate_reader),
                ("helmets", &self.helmets),
                ("waste", &self.waste),
            ];
            needed.extend(more.into_iter().filter_map(|(field, path)| Some((field, path.as_ref()?, "a model manifest"))));
            if self.provider == Provider::Openvino {
                needed.push(("openvino", &self.openvino, "OpenVINO's plugin (`make openvino` fetches it)"));
            }
            for (field, path, expected) in needed {
                if !path.exists() {
                    problems.add(file, format!("vision.{field}"), format!("no file `{}`", path.display()), expected);
                }
            }
        }
    }

    pub(crate) fn pipeline(&self) -> VisionConfig {
        VisionConfig {
            limits: self.limits,
            gate: self.gate,
            light: self.light,
            look: self.look,
            tracker: self.tracker.clone(),
            zones: self.zones,
            signals: self.signals,
            plates: self.plates,
            judge: self.judge.clone(),
            plate_wait: self.plate_wait,
            riders: self.riders,
            rider_width: self.rider_width,
            waste_every: self.waste_every,
        }
    }
}
