"""Write small tables and models in the layouts that the real hub repositories have."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask

Row = dict[str, Any]
Tables = dict[str, dict[str, list[Row]]]


def _words(text: str) -> tuple[str, ...]:
    """Split a text into its words."""
    return tuple(text.split())


ROWS = 64
"""The rows of one split of one subset unless told otherwise."""

TASKS: tuple[str, ...] = (
    "AmazonCounterfactualClassification",
    "Banking77Classification",
    "ImdbClassification",
    "MTOPDomainClassification",
    "MassiveIntentClassification",
    "MassiveScenarioClassification",
    "ToxicConversationsClassification",
    "TweetSentimentExtractionClassification",
    "ArXivHierarchicalClusteringP2P",
    "ArXivHierarchicalClusteringS2S",
    "BiorxivClusteringP2P.v2",
    "MedrxivClusteringP2P.v2",
    "MedrxivClusteringS2S.v2",
    "StackExchangeClustering.v2",
    "StackExchangeClusteringP2P.v2",
    "TwentyNewsgroupsClustering.v2",
    "BIOSSES",
    "SICK-R",
    "STS12",
    "STS13",
    "STS14",
    "STS15",
    "STS17",
    "STS22.v2",
    "STSBenchmark",
    "STSBenchmarkMultilingualSTS",
)
"""The MTEB tasks whose data `write_tasks` writes."""

MTEB_LANGUAGES: tuple[str, ...] = _words("eng kor jpn zho cmn cmo spa fra deu por ita rus ara hin tha vie ind pol")
"""The sixteen languages as mteb spells them: Chinese is zho, cmn and (in MASSIVE) cmo."""

MASSIVE_SUBSETS = _words("en ko ja zh-CN zh-TW es fr de pt it ru ar hi th vi id pl")
MTOP_SUBSETS = _words("en de es fr hi th")
COUNTERFACTUAL_SUBSETS = ("en", "en-ext", "de", "ja")
XNLI_SUBSETS = _words("en fr es de ru zh ar hi vi th")
MIRACL_SUBSETS = _words("ar en es fa fr hi id ja ko ru th zh")
SPLITS = ("train", "validation", "test")

# The same concepts in the same order in every language.
WORDS: dict[str, tuple[str, ...]] = {
    code: _words(words)
    for code, words in {
        "en": "water house mountain city river music book train money bank weather rain food bread coffee "
        "doctor medicine school teacher child game team phone message alarm light morning night market "
        "price friend road finds buys good new",
        "ko": "물 집 산 도시 강 음악 책 기차 돈 은행 날씨 비 음식 빵 커피 의사 약 학교 선생님 아이 게임 팀 "
        "전화 메시지 알람 불빛 아침 밤 시장 가격 친구 길 찾는다 산다 좋은 새로운",
        "ja": "水 家 山 都市 川 音楽 本 電車 お金 銀行 天気 雨 食べ物 パン コーヒー 医者 薬 学校 先生 子供 "
        "ゲーム チーム 電話 メッセージ アラーム 明かり 朝 夜 市場 値段 友達 道 見つける 買う 良い 新しい",
        "zh": "水 房子 山 城市 河流 音乐 书 火车 钱 银行 天气 雨 食物 面包 咖啡 医生 药 学校 老师 孩子 游戏 "
        "球队 电话 消息 闹钟 灯光 早晨 夜晚 市场 价格 朋友 道路 找到 购买 好的 新的",
        "es": "agua casa montaña ciudad río música libro tren dinero banco clima lluvia comida pan café "
        "médico medicina escuela maestro niño juego equipo teléfono mensaje alarma luz mañana noche "
        "mercado precio amigo camino encuentra compra bueno nuevo",
        "fr": "eau maison montagne ville rivière musique livre train argent banque météo pluie nourriture "
        "pain café médecin médicament école professeur enfant jeu équipe téléphone message alarme "
        "lumière matin nuit marché prix ami route trouve achète bon nouveau",
        "de": "Wasser Haus Berg Stadt Fluss Musik Buch Zug Geld Bank Wetter Regen Essen Brot Kaffee Arzt "
        "Medizin Schule Lehrer Kind Spiel Mannschaft Telefon Nachricht Wecker Licht Morgen Nacht Markt "
        "Preis Freund Straße findet kauft gut neu",
        "pt": "água casa montanha cidade rio música livro comboio dinheiro banco tempo chuva comida pão "
        "café médico remédio escola professor criança jogo equipa telefone mensagem alarme luz manhã "
        "noite mercado preço amigo estrada encontra compra bom novo",
        "it": "acqua casa montagna città fiume musica libro treno soldi banca meteo pioggia cibo pane "
        "caffè medico medicina scuola insegnante bambino gioco squadra telefono messaggio sveglia luce "
        "mattina notte mercato prezzo amico strada trova compra buono nuovo",
        "ru": "вода дом гора город река музыка книга поезд деньги банк погода дождь еда хлеб кофе врач "
        "лекарство школа учитель ребёнок игра команда телефон сообщение будильник свет утро ночь рынок "
        "цена друг дорога находит покупает хороший новый",
        "ar": "ماء بيت جبل مدينة نهر موسيقى كتاب قطار مال مصرف طقس مطر طعام خبز قهوة طبيب دواء مدرسة معلم "
        "طفل لعبة فريق هاتف رسالة منبه ضوء صباح ليل سوق سعر صديق طريق يجد يشتري جيد جديد",
        "hi": "पानी घर पहाड़ शहर नदी संगीत किताब रेलगाड़ी पैसा बैंक मौसम बारिश खाना रोटी कॉफ़ी डॉक्टर दवा "
        "विद्यालय शिक्षक बच्चा खेल टीम फ़ोन संदेश अलार्म रोशनी सुबह रात बाज़ार दाम दोस्त सड़क ढूँढता ख़रीदता अच्छा नया",
        "th": "น้ำ บ้าน ภูเขา เมือง แม่น้ำ ดนตรี หนังสือ รถไฟ เงิน ธนาคาร อากาศ ฝน อาหาร ขนมปัง กาแฟ หมอ ยา "
        "โรงเรียน ครู เด็ก เกม ทีม โทรศัพท์ ข้อความ นาฬิกาปลุก แสง เช้า กลางคืน ตลาด ราคา เพื่อน ถนน พบ ซื้อ ดี ใหม่",
        "vi": "nước nhà núi thành_phố sông nhạc sách tàu_hỏa tiền ngân_hàng thời_tiết mưa thức_ăn bánh_mì "
        "cà_phê bác_sĩ thuốc trường_học giáo_viên trẻ_em trò_chơi đội điện_thoại tin_nhắn báo_thức "
        "ánh_sáng buổi_sáng ban_đêm chợ giá bạn_bè con_đường tìm mua tốt mới",
        "id": "air rumah gunung kota sungai musik buku kereta uang bank cuaca hujan makanan roti kopi "
        "dokter obat sekolah guru anak permainan tim telepon pesan alarm cahaya pagi malam pasar harga "
        "teman jalan menemukan membeli bagus baru",
        "pl": "woda dom góra miasto rzeka muzyka książka pociąg pieniądze bank pogoda deszcz jedzenie "
        "chleb kawa lekarz lekarstwo szkoła nauczyciel dziecko gra drużyna telefon wiadomość budzik "
        "światło poranek noc rynek cena przyjaciel droga znajduje kupuje dobry nowy",
        "fa": "آب خانه کوه شهر رودخانه موسیقی کتاب قطار پول بانک هوا باران غذا نان قهوه پزشک دارو مدرسه معلم "
        "کودک بازی تیم تلفن پیام زنگ نور صبح شب بازار قیمت دوست جاده می‌یابد می‌خرد خوب تازه",
        "tr": "su ev dağ şehir nehir müzik kitap tren para banka hava yağmur yemek ekmek kahve doktor ilaç "
        "okul öğretmen çocuk oyun takım telefon mesaj alarm ışık sabah gece pazar fiyat arkadaş yol "
        "buluyor alıyor iyi yeni",
        "nl": "water huis berg stad rivier muziek boek trein geld bank weer regen eten brood koffie dokter "
        "medicijn school leraar kind spel ploeg telefoon bericht wekker licht ochtend nacht markt prijs "
        "vriend weg vindt koopt goed nieuw",
    }.items()
}
_UNSPACED = ("ja", "zh", "th")
_CONCEPTS = len(WORDS["en"])
_TOPIC_WORDS = 5

_INTENTS = _words(
    "alarm_set audio_volume_mute calendar_query cooking_recipe datetime_query email_sendemail "
    "general_joke iot_coffee lists_createoradd music_likeness news_query play_music qa_factoid "
    "recommendation_events social_post takeaway_order transport_taxi weather_query"
)
_DOMAINS = _words("messaging calling event timer music weather alarm people reminder recipes news")
_BANKING = _words(
    "activate_my_card age_limit apple_pay_or_google_pay atm_support automatic_top_up "
    "balance_not_updated_after_bank_transfer balance_not_updated_after_cheque_or_cash_deposit "
    "beneficiary_not_allowed cancel_transfer card_about_to_expire card_acceptance card_arrival"
)
_LABELS: dict[str, Sequence[str]] = {
    "mteb/amazon_counterfactual": ["not-counterfactual", "counterfactual"],
    "mteb/banking77": _BANKING,
    "mteb/imdb": ["negative", "positive"],
    "mteb/toxic_conversations_50k": ["not toxic", "toxic"],
    "mteb/tweet_sentiment_extraction": ["negative", "neutral", "positive"],
    "mteb/mtop_domain": _DOMAINS,
    "mteb/MTOPDomainClassification": _DOMAINS,
}
_ARXIV = _words("math.OC cs.LG hep-lat cond-mat.soft astro-ph.GA cs.CL quant-ph math.AG")
_FIELDS = _words("bioinformatics genetics ecology neuroscience oncology epidemiology cardiology immunology")
_SITES = _words("unity directx javascript latex cooking photo travel gardening")


class Sentences:
    """Generate distinct sentences over the shared concepts."""

    def __init__(self, seed: str) -> None:
        """Seed the generator by a name."""
        self.rng = random.Random(seed)
        self._seen: set[tuple[int, ...]] = set()

    def concepts(self, topic: int | None = None, low: int = 6, high: int = 11) -> list[int]:
        """Draw a sequence of concepts that no earlier call returned."""
        while True:
            length = self.rng.randint(low, high)
            drawn = [self._concept(topic) for _ in range(length)]
            if tuple(drawn) not in self._seen:
                self._seen.add(tuple(drawn))
                return drawn

    def _concept(self, topic: int | None) -> int:
        """Draw one concept, mostly from the topic's own."""
        if topic is None or self.rng.random() < 0.4:
            return self.rng.randrange(_CONCEPTS)
        return (topic * _TOPIC_WORDS + self.rng.randrange(_TOPIC_WORDS)) % _CONCEPTS

    def text(self, language: str, topic: int | None = None, low: int = 6, high: int = 11) -> str:
        """Return a new sentence in a language."""
        return render(self.concepts(topic, low, high), language)

    def altered(self, concepts: Sequence[int], kept: float) -> list[int]:
        """Rotate a sequence and replace all but a share of its concepts."""
        rotated = [*concepts[1:], concepts[0]]
        swapped = set(self.rng.sample(range(len(rotated)), round((1 - kept) * len(rotated))))
        return [self._other(c) if i in swapped else c for i, c in enumerate(rotated)]

    def _other(self, concept: int) -> int:
        """Draw a concept that differs from the given one."""
        return (concept + self.rng.randrange(1, _CONCEPTS)) % _CONCEPTS


def language_of(subset: str) -> str:
    """Return the word list's code for a subset such as zh-CN, en-ext or default."""
    code = subset.partition("-")[0]
    return code if code in WORDS else "en"


def render(concepts: Iterable[int], language: str) -> str:
    """Write concepts out as a sentence of a language."""
    words = [WORDS[language][concept].replace("_", " ") for concept in concepts]
    if language in _UNSPACED:
        return "".join(words)
    sentence = " ".join(words)
    return sentence[0].upper() + sentence[1:] + "."


@dataclass(frozen=True)
class Repo:
    """Describe one dataset repository: its file pattern and its tables."""

    repo_id: str
    pattern: str
    tables: Tables
    default: str | None = None
    label_names: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    columns: tuple[str, ...] = field(default=())

    def file(self, subset: str, split: str) -> str:
        """Name the file of one split of one subset."""
        return self.pattern.format(subset=subset, split=split)

    def write(self, root: Path) -> str:
        """Write the repository under the root and return its id."""
        folder = root / "datasets" / self.repo_id
        for subset, splits in self.tables.items():
            for split, rows in splits.items():
                write_table(folder / self.file(subset, split), rows)
        for script in self.scripts:
            (folder / script).write_text(_script(self), encoding="utf-8")
        (folder / "README.md").write_text(_readme(self), encoding="utf-8")
        return self.repo_id


SPLIT_THEN_SUBSET = "{split}/{subset}.jsonl.gz"
SPLIT_THEN_SUBSET_PARQUET = "{split}/{subset}.parquet"
SUBSET_THEN_SPLIT = "{subset}/{split}-00000-of-00001.parquet"
SUBSET_THEN_SPLIT_JSONL = "{subset}/{split}.jsonl"
FLAT = "{split}.jsonl.gz"
DATA = "data/{split}-00000-of-00001.parquet"


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as parquet, json lines or gzipped json lines by the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data, compresslevel=1, mtime=0) if path.suffix == ".gz" else data)


def _readme(repo: Repo) -> str:
    """Return the dataset card with its yaml head."""
    head = ["---"]
    if not repo.scripts:
        head += _features(repo) + _configs(repo)
    else:
        head += ["language:", *(f"- {subset}" for subset in repo.tables)]
    return "\n".join([*head, "---", "", f"# {repo.repo_id}", "", "Generated rows for offline tests.", ""])


def _configs(repo: Repo) -> list[str]:
    """Return the card's `configs:` lines."""
    lines = ["configs:"]
    if repo.pattern.startswith("{split}/"):
        splits = next(iter(repo.tables.values()))
        suffix = repo.pattern.removeprefix("{split}/{subset}")
        lines += _config("default", {split: f"{split}/*{suffix}" for split in splits})
    for subset, splits in repo.tables.items():
        lines += _config(subset, {split: repo.file(subset, split) for split in splits})
        lines += ["  default: true"] if subset == repo.default else []
    return lines


def _config(name: str, files: dict[str, str]) -> list[str]:
    """Return the lines of one config."""
    lines = [f"- config_name: {name}", "  data_files:"]
    for split, path in files.items():
        lines += [f"  - split: {split}", f"    path: {path}"]
    return lines


def _features(repo: Repo) -> list[str]:
    """Return the card's `dataset_info:` lines where the label is a class label."""
    lines = ["dataset_info:"] if repo.label_names else []
    for subset in repo.tables if repo.label_names else ():
        lines += [f"- config_name: {subset}", "  features:"]
        for column in repo.columns:
            lines += [f"  - name: {column}", *_dtype(column, repo.label_names)]
    return lines


def _dtype(column: str, label_names: Sequence[str]) -> list[str]:
    """Return the lines that type one column."""
    if column == "promptID":
        return ["    dtype: int32"]
    if column != "label":
        return ["    dtype: string"]
    names = [f"          '{value}': {name}" for value, name in enumerate(label_names)]
    return ["    dtype:", "      class_label:", "        names:", *names]


def _script(repo: Repo) -> str:
    """Return a loading script, which datasets >= 4 refuses to run."""
    files = {subset: {split: repo.file(subset, split) for split in splits} for subset, splits in repo.tables.items()}
    return "\n".join(
        [
            "import json",
            "",
            "import datasets",
            "",
            f"_FILES = {files!r}",
            "",
            "",
            "class Corpus(datasets.GeneratorBasedBuilder):",
            "    BUILDER_CONFIGS = [datasets.BuilderConfig(name=name) for name in _FILES]",
            "",
            "    def _info(self):",
            "        return datasets.DatasetInfo()",
            "",
            "    def _split_generators(self, dl_manager):",
            "        paths = dl_manager.download_and_extract(_FILES[self.config.name])",
            "        return [",
            '            datasets.SplitGenerator(name, gen_kwargs={"path": path})',
            "            for name, path in paths.items()",
            "        ]",
            "",
            "    def _generate_examples(self, path):",
            '        with open(path, encoding="utf-8") as stream:',
            "            yield from enumerate(map(json.loads, stream))",
            "",
        ]
    )


def _label_count(labels: Sequence[str], rows: int) -> int:
    """Use no more labels than the rows can fill eightfold."""
    return min(len(labels), max(2, rows // 8))


def _massive(repo_id: str, rows: int) -> Repo:
    """Build a MASSIVE repository: parallel utterances with string labels."""
    intent = repo_id.endswith("intent")

    def make(subset: str) -> dict[str, list[Row]]:
        """Build one language's splits."""
        said, count = Sentences("massive"), _label_count(_INTENTS, rows)
        return {split: [row(subset, said, i, count) for i in range(rows)] for split in SPLITS}

    def row(subset: str, said: Sentences, i: int, count: int) -> Row:
        """Build one utterance."""
        name = _INTENTS[i % count]
        label = name if intent else name.split("_")[0]
        text = said.text(language_of(subset), i % count)
        return {"id": str(i), "label": label, "label_text": label, "text": text, "lang": subset}

    return Repo(repo_id, SPLIT_THEN_SUBSET, {subset: make(subset) for subset in MASSIVE_SUBSETS})


def _labelled(repo_id: str, seed: str, subset: str, splits: Iterable[str], rows: int) -> dict[str, list[Row]]:
    """Build a subset of a classification repository with integer labels."""
    said, labels = Sentences(f"{seed}/{subset}"), _LABELS.get(repo_id, ["no", "yes"])
    count = _label_count(labels, rows)

    def row(i: int) -> Row:
        """Build one labelled text."""
        label = i % count
        text = said.text(language_of(subset), label)
        return {"text": text, "label": label, "label_text": labels[label]}

    return {split: [row(i) for i in range(rows)] for split in splits}


def _banking(repo_id: str, rows: int) -> Repo:
    """Build a one-subset classification repository with train and test."""
    return Repo(repo_id, FLAT, {"default": _labelled(repo_id, repo_id, "default", ("train", "test"), rows)})


def _tweets(repo_id: str, rows: int) -> Repo:
    """Build the tweets, whose rows have string ids."""
    splits = _labelled(repo_id, repo_id, "default", ("train", "test"), rows)
    named = {
        split: [{"id": f"{split[:2]}{i:08x}", **row} for i, row in enumerate(table)] for split, table in splits.items()
    }
    return Repo(repo_id, FLAT, {"default": named})


def _counterfactual(repo_id: str, rows: int) -> Repo:
    """Build the counterfactuals, one parquet folder per subset."""
    tables = {s: _labelled(repo_id, repo_id, s, SPLITS, rows) for s in COUNTERFACTUAL_SUBSETS}
    return Repo(repo_id, SUBSET_THEN_SPLIT, tables, default="en")


def _mtop(repo_id: str, rows: int) -> Repo:
    """Build mteb's parquet copy of MTOP."""
    tables = {s: _labelled(repo_id, "mtop", s, SPLITS, rows) for s in MTOP_SUBSETS}
    return Repo(repo_id, SUBSET_THEN_SPLIT, tables)


def _mtop_scripted(repo_id: str, rows: int) -> Repo:
    """Build the older MTOP repository, which only a loading script reads."""
    tables = {
        subset: {split: [{"id": i, **row} for i, row in enumerate(t)] for split, t in splits.items()}
        for subset, splits in _mtop(repo_id, rows).tables.items()
    }
    return Repo(repo_id, SUBSET_THEN_SPLIT_JSONL, tables, scripts=("mtop_domain.py", "mtop-domain.py"))


def _miracl(repo_id: str, rows: int) -> Repo:
    """Build the MIRACL passages: a loading script and two shards a language."""
    shards = ("docs-0", "docs-1")
    tables: Tables = {}
    for subset in MIRACL_SUBSETS:
        said = Sentences(f"{repo_id}/{subset}")
        rows_of = {shard: _passages(said, subset, n * rows, rows) for n, shard in enumerate(shards)}
        tables[subset] = rows_of
    return Repo(repo_id, "miracl-corpus-v1.0-{subset}/{split}.jsonl.gz", tables, scripts=("miracl-corpus.py",))


def _passages(said: Sentences, language: str, first: int, rows: int) -> list[Row]:
    """Build passages of articles with four passages each."""
    found: list[Row] = []
    for i in range(first, first + rows):
        article, place = divmod(i, 4)
        title = render([article % _CONCEPTS, article // _CONCEPTS % _CONCEPTS], language)
        text = said.text(language, article % 8, 16, 30)
        found.append({"docid": f"{article}#{place}", "title": title, "text": text})
    return found


_NLI = ("entailment", "neutral", "contradiction")
_KEPT = (0.8, 0.5, 0.1)


def _nli_rows(said: Sentences, language: str, rows: int, unlabelled: bool = False) -> list[Row]:
    """Build premise and hypothesis pairs, some without a gold label where asked."""
    found: list[Row] = []
    for i in range(rows):
        label, premise = i % 3, said.concepts()
        hypothesis = said.altered(premise, _KEPT[label])
        texts = {"premise": render(premise, language), "hypothesis": render(hypothesis, language)}
        found.append({**texts, "label": -1 if unlabelled and i % 16 == 15 else label})
    return found


def _snli(repo_id: str, rows: int) -> Repo:
    """Build SNLI, where a label of -1 means that the annotators disagreed."""
    said = Sentences(repo_id)
    splits = {split: _nli_rows(said, "en", rows, True) for split in ("test", "validation", "train")}
    columns = ("premise", "hypothesis", "label")
    pattern = "plain_text/{split}-00000-of-00001.parquet"
    return Repo(repo_id, pattern, {"plain_text": splits}, None, _NLI, columns=columns)


def _multi_nli(repo_id: str, rows: int) -> Repo:
    """Build MultiNLI with its parses and genres."""
    said = Sentences(repo_id)
    names = ("train", "validation_matched", "validation_mismatched")
    splits = {name: [_parsed(i, row) for i, row in enumerate(_nli_rows(said, "en", rows))] for name in names}
    columns = tuple(splits["train"][0])
    return Repo(repo_id, DATA, {"default": splits}, None, _NLI, columns=columns)


def _parsed(number: int, row: Row) -> Row:
    """Add MultiNLI's other columns to a pair."""
    return {
        "promptID": number,
        "pairID": f"{number}n",
        "premise": row["premise"],
        "premise_binary_parse": f"( {row['premise']} )",
        "premise_parse": f"(ROOT {row['premise']})",
        "hypothesis": row["hypothesis"],
        "hypothesis_binary_parse": f"( {row['hypothesis']} )",
        "hypothesis_parse": f"(ROOT {row['hypothesis']})",
        "genre": ("fiction", "government", "slate", "telephone", "travel")[number % 5],
        "label": row["label"],
    }


def _xnli(repo_id: str, rows: int) -> Repo:
    """Build XNLI: parallel pairs, one parquet folder per language and no default."""
    tables: Tables = {}
    for subset in XNLI_SUBSETS:
        said = Sentences(repo_id)
        tables[subset] = {split: _nli_rows(said, subset, rows) for split in ("train", "test", "validation")}
    return Repo(repo_id, SUBSET_THEN_SPLIT, tables, None, _NLI, columns=("premise", "hypothesis", "label"))


def _sts_rows(said: Sentences, subset: str, rows: int, low: float, high: float) -> list[Row]:
    """Build pairs whose shared concepts grow with their score."""
    left, _, right = subset.partition("-")
    found: list[Row] = []
    for i in range(rows):
        share = i % 11 / 10
        first = said.concepts()
        second = said.altered(first, share)
        texts = (render(first, language_of(left)), render(second, language_of(right or left)))
        score = round(low + share * (high - low), 3)
        found.append({"sentence1": texts[0], "sentence2": texts[1], "score": score})
    return found


def _stsbenchmark(repo_id: str, rows: int) -> Repo:
    """Build the STS benchmark with its source columns."""
    said = Sentences(repo_id)
    extra = {"genre": "main-captions", "dataset": "MSRvid", "year": "2012test"}

    def table(split: str) -> list[Row]:
        """Build one split."""
        pairs = _sts_rows(said, "en", rows, 0, 5)
        return [{"split": split, **extra, "sid": f"{i:04}", **row} for i, row in enumerate(pairs)]

    return Repo(repo_id, FLAT, {"default": {split: table(split) for split in SPLITS}})


SOURCES: dict[str, Callable[[str, int], Repo]] = {
    "mteb/amazon_massive_intent": _massive,
    "mteb/amazon_massive_scenario": _massive,
    "mteb/banking77": _banking,
    "mteb/amazon_counterfactual": _counterfactual,
    "mteb/imdb": _banking,
    "mteb/mtop_domain": _mtop_scripted,
    "mteb/toxic_conversations_50k": _banking,
    "mteb/tweet_sentiment_extraction": _tweets,
    "mteb/stsbenchmark-sts": _stsbenchmark,
    "stanfordnlp/snli": _snli,
    "nyu-mll/multi_nli": _multi_nli,
    "facebook/xnli": _xnli,
    "miracl/miracl-corpus": _miracl,
}
"""The training sources by their repository id."""


def write_sources(root: Path, rows: int = ROWS, repo_ids: Iterable[str] | None = None) -> list[str]:
    """Write the training sources and return their repository ids."""
    chosen = SOURCES if repo_ids is None else list(repo_ids)
    return [SOURCES[repo_id](repo_id, rows).write(Path(root)) for repo_id in chosen]


def write_tasks(root: Path, rows: int = ROWS, tasks: Iterable[str] = TASKS) -> list[str]:
    """Write the data of MTEB tasks and return their repository ids."""
    import mteb

    return [task_repo(mteb.get_task(name), rows).write(Path(root)) for name in tasks]


def write_all(root: Path, rows: int = ROWS) -> list[str]:
    """Write the training sources and the data of all tasks."""
    sources = write_sources(root, rows)
    return sources + [name for name in write_tasks(root, rows) if name not in sources]


def write_model(root: Path, repo_id: str, folder: Path) -> Path:
    """Copy a model folder under a repository id and return where it lies."""
    target = Path(root) / "models" / repo_id
    if target.exists():
        shutil.rmtree(target)
    return Path(shutil.copytree(folder, target))


def task_repo(task: AbsTask, rows: int = ROWS) -> Repo:
    """Build the repository that a task loads."""
    repo_id = str(task.metadata.dataset["path"])
    if repo_id in SOURCES:
        return SOURCES[repo_id](repo_id, rows)
    if task.metadata.type == "Classification":
        return _mtop(repo_id, rows)
    if task.metadata.type == "STS":
        return _sts(task, repo_id, rows)
    return _clusters(repo_id, rows)


def _sts(task: AbsTask, repo_id: str, rows: int) -> Repo:
    """Build a similarity task's repository from the task's own description."""
    if not task.metadata.is_multilingual:
        said = Sentences(repo_id)
        return Repo(repo_id, FLAT, {"default": {s: _scored(task, said, "en", rows) for s in task.eval_splits}})
    machine = repo_id.endswith("stsb_multi_mt")
    splits = ("train", *task.metadata.eval_splits) if machine else task.metadata.eval_splits
    tables: Tables = {}
    for subset in task.hf_subsets:
        said = Sentences(repo_id if machine else f"{repo_id}/{subset}")
        tables[subset] = {split: _tagged(_scored(task, said, subset, rows), subset, machine) for split in splits}
    return Repo(repo_id, SPLIT_THEN_SUBSET_PARQUET if machine else SPLIT_THEN_SUBSET, tables)


def _scored(task: AbsTask, said: Sentences, subset: str, rows: int) -> list[Row]:
    """Build pairs in the score range of a task."""
    low, high = getattr(task, "min_score", 0), getattr(task, "max_score", 5)
    return _sts_rows(said, subset, rows, low, high)


def _tagged(rows: Iterable[Row], subset: str, machine: bool) -> list[Row]:
    """Name the score and the language as the repository does."""
    name = "similarity_score" if machine else "score"
    return [
        {"sentence1": row["sentence1"], "sentence2": row["sentence2"], name: row["score"], "lang": subset}
        for row in rows
    ]


def _clusters(repo_id: str, rows: int) -> Repo:
    """Build a clustering repository: ten sets of documents, or flat rows for bioRxiv."""
    said, labels = Sentences(repo_id), _cluster_labels(repo_id)
    low, high = (20, 40) if "p2p" in repo_id else (6, 11)
    documents: list[Row] = []
    for i in range(_document_count(repo_id, rows)):
        topic = i % len(labels)
        documents.append({"sentences": said.text("en", topic, low, high), "labels": labels[topic]})
    if repo_id != "mteb/biorxiv-clustering-p2p":
        documents = _sets(documents, 10)
    return Repo(repo_id, FLAT, {"default": {"test": documents}})


def _document_count(repo_id: str, rows: int) -> int:
    """Return as many documents as the task's sampling needs."""
    if repo_id.startswith("mteb/arxiv"):
        return 2048 + rows
    return 4 * rows if repo_id == "mteb/stackexchange-clustering" else 16 * rows


def _cluster_labels(repo_id: str) -> Sequence[str | int]:
    """Return the labels of a clustering repository."""
    if repo_id.startswith("mteb/arxiv"):
        return _ARXIV
    if "rxiv" in repo_id:
        return _FIELDS
    return _SITES if "stackexchange" in repo_id else list(range(8))


def _sets(documents: Sequence[Row], count: int) -> list[Row]:
    """Deal documents into sets, one row each."""
    size = -(-len(documents) // count)
    parts = [documents[start : start + size] for start in range(0, len(documents), size)]
    return [{name: [row[name] for row in part] for name in ("sentences", "labels")} for part in parts]
