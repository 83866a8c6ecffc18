"""What instructions to a model look like in a text: signals with weights, and the patterns (RE2) that tell them.

A weight is how much one signal alone speaks for an injection. They are set by what a sentence says to whom, and looked
at on texts that are well meant and on published injections (docs/detectors.md, ``python -m benchmarks.detect``).
"""

from __future__ import annotations

from typing import NamedTuple


class Signal(NamedTuple):
    """``kind`` is told to rules; several patterns may tell the same kind. Patterns ignore case."""

    kind: str
    weight: float
    pattern: str


_AI = (
    r"(?:a\.?i\.?(?: (?:model|agent|assistant|system)s?)?|llms?|(?:large )?language models?|chat ?gpt|gpt-?[0-9][\w.-]*|claude"
    r"|gemini|copilot|chat ?bots?|(?:virtual |ai |personal )?assistants?|autonomous agents?)"
)
_BEFORE = r"(?:previous|prior|preceding|earlier|above|foregoing|former|original|initial|existing|current|old|past)"
_ORDERS = (
    r"(?:i\w{0,2}nstructions?|prompts?|directions?|directives?|guidelines?|commands?|orders|rules|constraints?|context|messages?"
    r"|requests?|tasks?|objectives?|goals?|programming|training|safety (?:rules|measures|guidelines)|restrictions)"
)
_IGNORE = r"(?:ignore|disregard|forget|override|overrule|bypass|discard|abandon|do(?: not|n.t) (?:follow|obey)|stop following)"
_WHOM = r"(?:users?|humans?|operators?|owners?|anyone|anybody|them|him|her|customers?|administrators?)"
_WHERE = r"(?:[\w.+-]+@[\w-]+(?:\.[\w-]+)+|https?://\S+|www\.\S+|[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){3,7})"

ENGLISH = (
    Signal("override", 0.8, rf"\b{_IGNORE}\W+(?:\w+\W+){{0,4}}?{_BEFORE}\W+(?:\w+\W+){{0,3}}?{_ORDERS}\b"),
    Signal("override", 0.75, rf"\b{_IGNORE}\W+(?:\w+\W+){{0,3}}?{_ORDERS} (?:above|before|so far|(?:that )?you (?:were|have been) (?:given|told))\b"),
    Signal("override", 0.8, rf"\b{_IGNORE}\W+(?:all |any |every )?(?:of )?(?:your|thy)\W+(?:\w+\W+){{0,3}}?{_ORDERS}\b"),
    Signal("override", 0.7, rf"\b{_IGNORE}\W+(?:all|everything|anything)\W+(?:\w+\W+){{0,5}}?(?:before|above|prior|so far|told|said)\b"),
    Signal("override", 0.6, rf"\b{_ORDERS} (?:above|before this|so far|given to you)[^.\n]{{0,40}}\b(?:void|obsolete|superseded|cancell?ed|outdated|invalid)\b"),
    Signal("override", 0.6, r"\b(?:instead of|rather than) (?:doing |answering |following )(?:that|this|the (?:above|previous|original|user)\b)"),
    Signal("persona", 0.6, r"\byou are (?:now|no longer|from now on)\b.{0,40}\b(?:bound|restricted|assistant|ai|dan|mode|agent|model|role|free)\b"),
    Signal("persona", 0.6, r"\bfrom (?:now|this point) on(?:wards?)?\W{1,3}you (?:are|will|must|should|shall)\b"),
    Signal("persona", 0.6, r"\b(?:developer|debug|god|jailbreak|unrestricted|admin(?:istrator)?|maintenance|dan) mode (?:is )?(?:now )?(?:enabled|activated|engaged|on)\b"),
    Signal("prompt", 0.6, r"\b(?:your|thy) (?:new|real|actual|true|only|updated|next|primary) (?:task|instructions?|goal|objective|purpose|role|mission|orders|directives?)\b"),
    Signal("prompt", 0.55, r"\bnew (?:system |priority |urgent |mandatory )?(?:instructions?|directives?|orders)\s{0,3}(?:[:=]|from the (?:user|admin|system|operator))"),
    Signal("prompt", 0.6, r"\b(?:reveal|print|output|repeat|show|leak|send|display|disclose|include|paste|share)\W+(?:\w+\W+){0,4}?(?:(?:your|the) (?:system|initial|hidden|original|full|entire)\W+(?:\w+\W+)?(?:prompt|instructions?|messages?)|your (?:instructions|prompt))\b"),
    Signal("prompt", 0.5, r"\b(?:system|developer|admin(?:istrator)?) (?:override|instructions? update|prompt update|directive)\b"),
    Signal("before", 0.65, r"\b(?:before|prior to|in order to)\W+(?:you )?(?:can |may |could |be able to )?(?:solv|complet|continu|proceed|answer|respond|finish|perform|do)\w*\W+(?:\w+\W+){0,5}?(?:task|request|question|query|quer(?:y|ies)|user|original|prompt)\b.{0,90}\b(?:must|first|please|need|have to|required|following)\b"),
    Signal("before", 0.45, r"\b(?:please )?(?:do|perform|execute|carry out|complete) (?:the )?following (?:\w+ )?(?:first|instead|before|immediately|now|actions? (?:first|before|instead))\b"),
    Signal("before", 0.4, r"\byou (?:must|have to|need to|should|will|are (?:required|instructed|ordered|obliged) to) (?:now|first|immediately|also|instead|always|silently|secretly)\b"),
    Signal("before", 0.5, r"\b(?:after|once) (?:you|that)[^.\n]{0,60}\b(?:can|may|should|then)\b[^.\n]{0,30}\b(?:solve|continue|resume|go on with|proceed with)\W+(?:\w+\W+){0,2}?(?:the|my|your|its|original)\W+(?:\w+\W+)?(?:task|request)"),
    Signal("addressed", 0.65, rf"\b(?:notes?|notice|messages?|instructions?|attention|reminder) (?:to|for)(?:,|:)? ?(?:the |any |all |every |an |this |my |your )?(?:[\w-]+ )?{_AI}\b\W{{0,3}}(?:[:.!(\[-]|reading|processing|you\b|please|must|should)"),
    Signal("addressed", 0.5, rf"\b(?:dear|hey|hi|hello|attention|notes? (?:to|for)|messages? (?:to|for|from me[^.\n]{{0,60}} to you)|instructions? (?:to|for)|important for|notice to)(?:,|:)? ?(?:the |any |all |every |an |this |my |you,? )?(?:\w+ )?{_AI}\b"),
    Signal("addressed", 0.5, rf"\b(?:if you are|as) an? (?:\w+ )?{_AI}\b.{{0,40}}\b(?:you|please|reading|processing|must|should|ignore|do)\b"),
    Signal("addressed", 0.45, rf"\b(?:any |all |the |every )?{_AI} (?:reading|processing|parsing|summari[sz]ing|reviewing|scanning|analy[sz]ing|viewing) (?:this|the|it)\b"),
    Signal("addressed", 0.45, rf"\bas (?:an?|the|your) (?:helpful|responsible|diligent|good|capable) {_AI}\b"),
    Signal("addressed", 0.45, rf"\b(?:the|your|any|every|all) (?:\w+ )?{_AI} (?:must|shall|has to|have to|needs? to|(?:is|are) (?:required|instructed|obliged) to)\b"),
    Signal("addressed", 0.35, rf"\b{_AI}\W{{1,3}}(?:you )?(?:must|should|shall|please|ignore|do not|don.t|send|call|execute|run|reply|respond)\b"),
    Signal("secrecy", 0.6, rf"\b(?:do not|don.t|never|without|avoid|must not|should not)\W+(?:\w+\W+){{0,2}}?(?:tell|mention|inform|reveal|notif|alert|disclos|warn|ask)\w*\W+(?:\w+\W+){{0,4}}?{_WHOM}\b"),
    Signal("secrecy", 0.45, r"\b(?:without|no need for|do not (?:ask|wait) for|skip)\W+(?:\w+\W+){0,2}?(?:confirmation|approval|permission|consent)\b"),
    Signal("secrecy", 0.5, r"\b(?:secretly|covertly|silently|discreetly)\W+(?:\w+\W+){0,2}?(?:send|forward|call|include|append|add|copy|post|email|execute|run|transfer|upload)\b"),
    Signal("order", 0.3, rf"\b(?:send|forward|e-?mail|upload|post|exfiltrate|transmit|transfer|leak|copy|wire|bcc|pay)\b[^.!?\n]{{0,80}}\b(?:to|at|towards)\W+(?:\w+\W+){{0,5}}?{_WHERE}"),
    Signal("order", 0.3, r"\b(?:call|use|invoke|execute|run|trigger)\W+(?:the |your )?[`'\"]?[\w.-]+[`'\"]?\W+(?:tool|function|action|plugin)\b"),
    Signal("order", 0.3, r"\b(?:append|encode|include|embed|put|add)\W+(?:\w+\W+){0,8}?(?:the|this|that) (?:url|link|image|query(?: string)?|parameters?)\b"),
    Signal("answer", 0.45, r"\b(?:include|add|insert|append|put|record|mention|repeat|state|write|say|place)\W+(?:\S+\s+){1,14}?(?:in|to|into|at the (?:end|beginning|start) of)\W+(?:your|all|every|each|any|the)\W+(?:\w+ )?(?:responses?|repl(?:y|ies)|answers?|summar(?:y|ies)|outputs?)\b(?:\W+(?:you|of every|so|to confirm|during)\b|\W*$)?"),
    Signal("answer", 0.5, r"\b(?:respond|reply|answer) (?:only |always |exactly )?with\b[^.\n]{0,60}\b(?:to (?:every|all|any|each)|regardless|whatever|no matter)\b"),
    Signal("authority", 0.3, r"\b(?:system|admin(?:istrator)?|security|automated|mandatory|compliance|fraud|breach|emergency|priority|policy)[ _-](?:notice|alert|messages?|override|protocol|directive|order|mandate|requirement)\b"),
    Signal("authority", 0.5, r"\b(?:system|admin|security|policy|safety)_(?:override|message|prompt|instruction|disabled?)\b"),
    Signal("authority", 0.5, r"\b(?:security|safety|privacy|confidentiality|content)\W+(?:\w+\W+)?(?:polic(?:y|ies)|controls?|rules|checks?|filters?|measures)\W+(?:\w+\W+)?(?:are|is|have been|has been|were)\W+(?:\w+\W+)?(?:suspended|disabled|bypassed|lifted|off|waived)\b"),
    Signal("authority", 0.25, r"\b(?:this is (?:a |an )?(?:mandatory|required|standard|routine|automated|legitimate|authorized|official)|(?:is|are) (?:mandated|required) by (?:the )?(?:new |company |corporate |updated )?(?:\w+ )?(?:policy|protocol|regulation)|non-compliance (?:will|results?|may))\b"),
    Signal("order", 0.35, r"\b(?:send|forward|share|provide|e-?mail|include|export|disclose)\W+(?:\w+\W+){0,4}?(?:complete|full|entire|all(?: of)?(?: the| their| your)?|whole)\W+(?:\w+\W+){0,3}?(?:records?|details|credentials|passwords?|histor(?:y|ies)|contacts|account numbers?|secrets?|api keys?|files)\b"),
    Signal("urgent", 0.2, r"\b(?:immediate|urgent) (?:action|attention) (?:is )?required|\btime[- ]critical\b|\b(?:do|complete|act on) this (?:immediately|now|right away|at once)\b"),
    Signal("urgent", 0.2, r"(?:^|[^\w])(?:urgent|important|critical|attention|warning|alert|immediately|!!+)\W{0,3}(?:[:!]|message|instruction|notice)"),
)  # fmt: skip

MARKUP = (
    Signal("markers", 0.75, r"<\|\s?(?:im_start|im_end|im_sep|system|user|assistant|endoftext|end_of_text|eot_id|start_header_id|end_header_id|begin_of_text|channel|message|return)\s?\|>"),
    Signal("markers", 0.7, r"\[/?INST\]|<</?SYS>>|</?start_of_turn>|<end_of_turn>|\[/?SYSTEM_PROMPT\]"),
    Signal("markers", 0.55, r"</?(?:system(?:[-_ ]?(?:prompt|message|reminder|instructions?|note))?|assistant|developer|tool_(?:result|response|output)s?|function_results?|untrusted_?\w*|human|user_(?:query|message|input)|instructions?|information|important)>"),
    Signal("markers", 0.6, r"(?:^|\n|[.!?\s])#{1,6}\s{0,2}(?:[(\[<](?:system|developer|admin)[ _-](?:message|prompt|instructions?|note|override)|(?:system|developer|admin)_(?:message|prompt|override)\b)"),
    Signal("markers", 0.45, r"(?:^|\n|[.!?]\s{1,3})\W{0,6}(?:system|assistant|developer|human|user|admin)(?: (?:message|prompt|note|override|instructions?|notice))?\W{0,4}:\W{0,4}(?:you(?:r| are| must)?|ignore|please|from now|new|the user|as an|i (?:am|will|want)|sure|stop|important|override|as (?:part|of|an?|per))\b"),
    Signal("markers", 0.35, r"[\"']role[\"']\s{0,4}:\s{0,4}[\"'](?:system|developer|assistant)[\"']"),
    Signal("markers", 0.4, r"(?:^|\n)\s{0,4}(?:-{3,}|={3,}|#{2,}|\*{3,})\s{0,4}(?:end|begin|start|stop) (?:of )?(?:the )?(?:tool|function|user|system|document|data|input|context|untrusted|prompt|instructions?)\b"),
    Signal("calls", 0.6, r"<(?:antml:)?(?:function_calls?|tool_calls?|tool_use|invoke name=|function=)"),
    Signal("calls", 0.35, r"\{\s{0,8}[\"'](?:name|tool|function|tool_name|action)[\"']\s{0,4}:\s{0,4}[\"'][\w.-]{1,64}[\"']\s{0,4},\s{0,8}[\"'](?:arguments|parameters|args|input|action_input)[\"']\s{0,4}:"),
    Signal("calls", 0.45, r"(?:^|\n)\s{0,4}Action:\s{0,4}[\w.-]{1,64}\s{0,4}\n\s{0,4}Action Input:"),
    Signal("exfiltration", 0.75, r"(?:!?\[[^\]\n]{0,200}\]\(|src\s{0,3}=\s{0,3}[\"']?)\s{0,4}<?https?://[^)\s\"'>]{1,400}[?&/][^)\s\"'>]{0,200}(?:\{\{?[\w .-]{1,60}\}|\$\{[\w .-]{1,60}|\$[A-Z_]{3,60}|\[[A-Z_ ]{3,60}\]?|<[\w ]{3,60}>|%[sd]\b|(?:your|insert|the)[_-](?:data|secret|key|token|summary|conversation|history|response|password))"),
    Signal("exfiltration", 0.5, r"(?:!\[[^\]\n]{0,200}\]\(|<img[^>]{0,200}src\s{0,3}=\s{0,3}[\"']?)\s{0,4}<?https?://[^)\s\"'>]{1,400}[?&][\w.-]{1,64}=[A-Za-z0-9+/=_%-]{40,}"),
    Signal("exfiltration", 0.15, r"(?:!\[[^\]\n]{0,200}\]\(|<img[^>]{0,200}src\s{0,3}=\s{0,3}[\"']?)\s{0,4}<?https?://[^)\s\"'>]{1,400}\?[^)\s\"'>]{1,400}="),
    Signal("active", 0.5, r"\bdata:text/html|\bjavascript:[a-z(]|\bdata:[\w/+.-]{3,40};base64,[A-Za-z0-9+/]{0,8}(?:PHNjcmlwd|PGh0bW|PHN2Zy)"),
)  # fmt: skip
"""Imitations of what surrounds a model: templates of chats, tool calls, ends of data; and ways out for data (images that
are loaded with something in their address)."""

LANGUAGES = (
    Signal("override", 0.8, r"\b(?:ignorier|vergiss|missacht)\w*\W+(?:Sie )?(?:\w+\W+){0,3}?(?:vorherig|bisherig|obig|früher|vorangegangen|ursprünglich|deine|Ihre|gegeben)\w*\W+(?:\w+\W+){0,2}?(?:Anweisung|Befehl|Instruktion|Regel|Vorgabe|Aufgabe|Aufforderung|Prompt)"),
    Signal("override", 0.8, r"\b(?:ignor|oubli|négligez|neglige)\w*\W+(?:\w+\W+){0,2}?(?:instructions|consignes|directives|règles|ordres)\W+(?:\w+\W+){0,2}?(?:précédent|antérieur|ci-dessus|données|initial)"),
    Signal("override", 0.8, r"\b(?:ignor|olvid|descart)\w*\W+(?:\w+\W+){0,3}?(?:instrucciones|órdenes|indicaciones|reglas|mensajes)\W+(?:\w+\W+){0,2}?(?:anterior|previa|previo|original|dadas)"),
    Signal("override", 0.8, r"\b(?:ignor|dimentic|trascur)\w*\W+(?:\w+\W+){0,3}?(?:istruzioni|indicazioni|regole|ordini)\W+(?:\w+\W+){0,2}?(?:precedent|sopra|inizial|ricevut)"),
    Signal("override", 0.8, r"\b(?:ignor|esque|desconsider)\w*\W+(?:\w+\W+){0,3}?(?:instruções|instrucoes|ordens|regras|orientações)\W+(?:\w+\W+){0,2}?(?:anterior|prévia|acima|original)"),
    Signal("override", 0.8, r"\b(?:negeer|vergeet)\W+(?:\w+\W+){0,2}?(?:vorige|eerdere|bovenstaande|voorgaande|oorspronkelijke)\W+(?:\w+\W+)?(?:instructies|opdrachten|regels|aanwijzingen)"),
    Signal("override", 0.8, r"(?:zignoruj|ignoruj|zapomnij|pomiń)\W+(?:\w+\W+){0,2}?(?:poprzedni|wcześniejsz|powyższ)\w*\W+(?:\w+\W+)?(?:instrukcj|polece|zasad)"),
    Signal("override", 0.8, r"(?:игнорируй|проигнорируй|забудь|не обращай внимания на)\pL*\P{L}+(?:\pL+\P{L}+){0,2}?(?:предыдущ|прежн|прошл|указанн|вышеуказанн|исходн)\pL*\P{L}+(?:\pL+\P{L}+)?(?:инструкц|указани|команд|правил)"),
    Signal("override", 0.8, r"(?:önceki|yukarıdaki)\W+(?:\w+\W+){0,2}?(?:talimat|komut|kural)\w*\W+(?:\w+\W+){0,2}?(?:yok say|görmezden|unut|dikkate alma)"),
    Signal("override", 0.8, r"(?:忽略|无视|忘记|忽視|無視)(?:掉)?(?:你)?(?:所有|全部|一切)?(?:的)?(?:之前|以上|先前|前面|上述|此前|以前|原来|原來)(?:的)?(?:所有|全部|一切)?(?:的)?(?:指令|指示|说明|說明|提示|命令|规则|規則)"),
    Signal("override", 0.8, r"(?:以前|前|上記|これまで|先|最初|元)の(?:すべて|全て)?の?(?:指示|命令|指令|プロンプト|ルール)(?:は|を)?(?:すべて|全て)?(?:を)?(?:無視|忘れ)"),
    Signal("override", 0.8, r"(?:이전|위|앞|기존)(?:의|에)?\s?(?:모든\s?)?(?:지시|명령|지침|규칙|프롬프트)(?:사항)?(?:을|를|은|는)?\s?(?:모두\s?)?(?:무시|잊)"),
    Signal("override", 0.8, r"(?:تجاهل|انس|تجاهلي)\s+(?:جميع |كل )?(?:التعليمات|الأوامر|التوجيهات)\s+(?:السابقة|أعلاه)"),
    Signal("override", 0.8, r"(?:पिछले|पूर्व|उपरोक्त)\s+(?:सभी\s+)?(?:निर्देशों|आदेशों|नियमों)\s+(?:को\s+)?(?:अनदेखा|नज़रअंदाज़|भूल)"),
    Signal("secrecy", 0.6, r"\b(?:sag|teile|informier|erzähl|verrat)\w*\W+(?:\w+\W+){0,3}?(?:Benutzer|Nutzer|Anwender)\w*\W+(?:\w+\W+){0,3}?(?:nicht|nichts)\b|\bne (?:dites|dis|mentionne[zr]?|révèle[zr]?|informe[zr]?) (?:\w+\W+){0,4}?l.utilisateur|\bno (?:se lo )?(?:digas|menciones|informes|reveles)\W+(?:\w+\W+){0,4}?usuario|(?:не говори|не сообщай|не рассказывай)\pL*\P{L}+(?:\pL+\P{L}+){0,3}?пользовател|(?:不要|别|請勿|请勿)(?:告诉|告訴|通知|提及)(?:给)?(?:用户|用戶|使用者)|ユーザー(?:に|には)(?:言わ|伝え|知らせ)な"),
)  # fmt: skip
"""The first sentence of most injections in other languages of the web, and the request not to tell."""

SIGNALS = tuple([signal._replace(pattern=f"(?is){signal.pattern}") for signal in (*ENGLISH, *MARKUP, *LANGUAGES)])
