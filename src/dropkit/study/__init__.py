"""From a configuration to an answer: plans times seeds, paired, chosen on validation, judged on the test part."""

from dropkit.study.analyse import analyse
from dropkit.study.config import StudyConfig, load_config
from dropkit.study.grid import Candidate, candidates
from dropkit.study.observed import central_levels, log_likelihood
from dropkit.study.progress import Observer, Silent
from dropkit.study.reopen import Reopened, find_run, reopen
from dropkit.study.result import StudyResult, Survey
from dropkit.study.sampled import Sampled, intervals, sample
from dropkit.study.study import default_workers, run_study, survey
from dropkit.study.text import config_text

__all__ = [
    "Candidate",
    "Observer",
    "Reopened",
    "Sampled",
    "Silent",
    "StudyConfig",
    "StudyResult",
    "Survey",
    "analyse",
    "candidates",
    "central_levels",
    "config_text",
    "default_workers",
    "find_run",
    "intervals",
    "load_config",
    "log_likelihood",
    "reopen",
    "run_study",
    "sample",
    "survey",
]
