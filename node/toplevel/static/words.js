// Words: what the page says, in Chinese and in English.  A word is looked up by its name; what is unknown stays as it is.

const WORDS = {
  title: ["国家顶级节点（模拟）", "National top-level node, simulated"],
  subtitle: ["供二级节点对接试验用，非真实国家顶级节点", "what a secondary node is tried against; not the real one"],
  tables: ["收到的数据", "What was received"],
  tables_hint: ["点击一行查看最新数据", "choose a table to see its newest rows"],
  table: ["表", "Table"], subject: ["内容", "Subject"], cadence: ["频率", "Cadence"], rows: ["行数", "Rows"],
  rejected: ["驳回", "Rejected"], changes: ["变更", "Changes"], newest: ["最新", "Newest"], digest: ["摘要 SHA-256", "Digest, SHA-256"],
  rows_of: ["最新数据", "Newest rows"], rows_hint: ["个人信息已掩码", "personal data is masked"],
  no_rows: ["还没有数据", "nothing yet"],
  epp: ["EPP 注册通道", "EPP registration"], epp_waiting: ["条消息待取", "messages wait in the queue"],
  policy: ["前缀审核", "Prefixes are decided"], policy_hand: ["人工", "by hand"], policy_5: ["5 秒后自动通过", "by themselves, after 5 s"],
  policy_0: ["立即通过", "at once"], policy_other: ["自动", "by themselves"],
  enterprises: ["已注册企业", "Registered enterprises"],
  waiting: ["待审核", "waiting"], granted: ["已通过", "granted"], refused: ["已驳回", "refused"],
  approve: ["通过", "Approve"], refuse: ["驳回", "Refuse"], refuse_why: ["驳回原因：", "Why is it refused?"],
  no_applications: ["没有申请", "no applications"],
  rejections: ["驳回的数据", "Rejections"], rejections_hint: ["等待二级节点更正", "the node has to correct these"],
  no_rejections: ["没有驳回", "none"], correct: ["要求更正", "Demand a correction"], correct_why: ["更正要求：", "What has to be corrected?"],
  faults: ["故障开关", "Faults"], faults_hint: ["让本节点出错，检验对方", "have this node misbehave"],
  slow_ms: ["应答延迟（毫秒）", "slow, ms"], down: ["停机（不应答）", "down"], wrong: ["乱码应答 %", "garbage answers, %"],
  replaying: ["重放旧应答 %", "old answers, %"], losing: ["丢失应答 %", "answers lost, %"], from_the_past: ["时钟慢一小时", "clock an hour behind"],
  disk_full: ["磁盘已满", "disk full"], expired: ["证书过期", "expired certificate"], reject: ["按规则驳回", "rejects by hand"],
  copies: ["备份", "Copies"], restore: ["恢复到此备份（遗忘）", "Go back to it (forget)"], snapshot: ["新建备份", "Make a copy"],
  events: ["事件", "Events"], probes: ["解析探测", "Probes of resolution"], routes: ["解析路由", "Routes"],
  no_routes: ["未收到表2或表7", "no 表2 or 表7 yet"], no_probes: ["尚无探测", "none yet"],
  heartbeat: ["心跳", "Heartbeat"], no_heartbeat: ["未收到心跳", "none was heard"], witness: ["见证", "Witness"], keys: ["二级节点签名公钥", "Keys of the node"],
  verifier_key: ["见证公钥", "verifier key"], no_logs: ["未配置日志", "no log is watched"], leaves: ["叶，见证于", "leaves, cosigned"], forks: ["分叉证据", "forks"],
  footer: ["接口依据公开资料；未公开的部分为本项目的提案，真实对接以中国信通院的文档和测试为准。",
    "Built to the public documents; what is not public is our proposal. A real connection needs CAICT's own documents and test."],
  connected: ["实时", "live"], lost: ["连接中断", "not reached"],
  serial: ["已确认序号", "Acknowledged serial"], session: ["会话", "Session"], no_session: ["尚无会话", "no session yet"],
  complete: ["完整性", "Completeness"], is_complete: ["完整", "complete"], is_checking: ["核对至", "checked up to"],
  rate: ["近一分钟写入", "Stored in a minute"], skew: ["对方时钟偏差", "Clock of the node"], ahead: ["秒（对方减本方）", "s ahead of ours"],
  last: ["最近确认", "last"], total_rows: ["总行数", "rows in all"], ago: ["前", " ago"], seconds: ["秒", "s"], minutes: ["分钟", "min"], hours: ["小时", "h"], now_word: ["刚刚", "now"],
  fault_on: ["故障：", "fault: "], unverified: ["摘要尚未计算", "not computed yet"],
  hello: ["问候", "hello"], reset: ["新会话", "reset"], delta: ["增量", "delta"], digests: ["核对", "digests"], epp_event: ["EPP", "EPP"],
  unsigned: ["签名不符", "not signed"], unreadable: ["无法解析", "unreadable"], not_stored: ["未能存储", "not stored"], lost_event: ["应答丢失", "answer lost"],
  garbage: ["乱码应答", "garbage"], replayed: ["重放", "replayed"], faults_event: ["故障", "faults"], forgot: ["遗忘", "forgot"], copied: ["备份", "copied"], count: ["压测计数", "count"],
  correction: ["要求更正", "correction"], done: ["已执行", "done"], snapshot_event: ["快照", "snapshot"], node: ["二级节点", "Node"],
  实时: ["实时", "real time"], 每小时: ["每小时", "hourly"], 每日: ["每日", "daily"], 每月: ["每月", "monthly"],
  ms: ["毫秒", "ms"], last_probe: ["最近", "last"],
};

export const language = { index: pick() };

function pick() {
  const asked = new URLSearchParams(location.search).get("lang") || localStorage.getItem("language") || navigator.language || "zh";
  return asked.toLowerCase().startsWith("zh") ? 0 : 1;
}

export function isChinese() {
  return language.index === 0;
}

export function word(name) {
  const found = WORDS[name];
  return found ? found[language.index] : name;
}

export function switchLanguage() {
  language.index = 1 - language.index;
  localStorage.setItem("language", language.index ? "en" : "zh");
  sayAll();
}

export function sayAll() {
  document.documentElement.lang = language.index ? "en" : "zh-CN";
  document.title = word("title");
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = word(each.dataset.word);
  document.getElementById("language").textContent = language.index ? "中文" : "English";
}
