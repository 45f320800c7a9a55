"""The built-in rules of task detection: the tables of SRS 3.5, and what tells real requests apart.

Each word of the SRS's table has an entry of weight 1 or more, so that a short message with it is of its task.
In a longer one its other meanings are as likely (the function of an organ, a dress code, a training program),
so there it needs company: the verb that goes with it, its language, the name of an error. The tests have many
messages that must fire and that must not; ``benchmarks/detection.py`` measures any labelled table.
"""

from __future__ import annotations

from imrs_client.task_rules import Rules

# Groups of words that several entries name in braces.
_GROUPS = {
    "make": (
        "write|writing|writes|create|creating|make|making|implement|implementing|develop|developing"
        "|build|building|generate|generating|provide|produce|design|define|complete|give|show|construct"
    ),
    "draft": (
        "write|writing|draft|drafting|create|prepare|preparing|compose|generate|make|produce|develop"
        "|provide|outline"
    ),
    "languages": (
        "python|javascript|typescript|java|c++|c#|php|kotlin|golang|sql|mysql|postgresql|postgres"
        "|sqlite|html|css|bash|powershell|haskell|fortran|cobol|matlab|vba|jquery|reactjs|nodejs|numpy"
        "|pytorch|tensorflow|verilog|vhdl|solidity|graphql|sparql"
    ),
    "names": (
        "swift|rust|ruby|scala|dart|perl|julia|lua|r|go|c|react|angular|vue|flutter|django|flask|spring"
        "|shell|unity|assembly"
    ),
    "clear": ("rust|ruby|scala|dart|perl|lua|r|c|swift|go|assembly|react|angular|flutter|django|flask"),
    "speech": (
        "english|spanish|french|german|italian|portuguese|dutch|russian|polish|turkish|arabic|hebrew"
        "|hindi|urdu|bengali|chinese|mandarin|japanese|korean|vietnamese|thai|indonesian|latin|greek"
        "|swedish|norwegian|danish|finnish|czech|hungarian|romanian|ukrainian|farsi|persian|swahili"
        "|tagalog"
    ),
}

_CODE = """
# The words of the SRS.
code^1
program^1
script^1
function^1
{languages}^2
# What is written, and how people ask for it.
{make}|fix|refactor|optimize|debug|explain|rewrite|improve|need|want|using|run ... code^2
the|this|my|following|given|source|your|above|some|sample|example|same|existing|python|piece
|lines ... code^1
code snippet|snippets|review|reviews|base|block|blocks|example|examples|below|above|generation
|does^1.5
review|check|test|comment|comments|simplify|clean|translate ... code^2
code a|an|up^1
pseudo code^1
codebase|pseudocode|coding|snippet|snippets^1
{make}|call|calls ... function|functions|subroutine|regex|regexp|decorator|constructor|iterator^2
function that|which|to|called|named|takes|returns|should^1
functions|methods|parameters|arguments^0.5
class ... attribute|attributes|method|methods|constructor|inherits^1
script to^1
write|writing|written|wrote|code|compile|run ... program|programs^2
{make} ... program that|to|which|in|using^0.5
implement|code ... program|algorithm|class|interface|method|structure^2
{make} ... algorithm|query|queries|api|app|website|webpage|macro|parser|compiler|crawler|scraper
|endpoint^1
{make} ... script|scripts that|to|which|in|using^1
{names} code|program|programs|script|scripts|function|functions|app|class|library|method|struct
|developer^2
in|using|with {clear}^0.75
implement|write|code|how|read|parse|sort|reverse|build|develop ... in|using|with {clear}^1.5
react|angular|vue|svelte component|components|hook|hooks|native|app^2
shell|batch|automation|deployment ... script|scripts^1
sql|mysql|postgres|database|write|select ... query|queries^1
translate|convert|port|rewrite|migrate ... to|into|from|in python|javascript|typescript|java|c|c++
|c#|ruby|go|rust|bash|regex|sql^3
class|classes that|named|called|inherits|extends|with|which|method|methods|diagram^0.75
# What goes wrong.
debug|debugging|refactor|refactoring|compiler|decompile|transpile^2
compile|compiles|compiling this|the|my|error|errors|code|program|with^1
fix|find|identify|spot|solve|locate|any|a ... bug|bugs^1
bug|bugs^1
traceback|stacktrace|segfault|leetcode|hackerrank|codeforces|nullpointerexception|stackoverflow^2.5
typeerror|valueerror|keyerror|indexerror|nameerror|syntaxerror|attributeerror|runtimeerror
|importerror|modulenotfounderror|referenceerror|zerodivisionerror|indentationerror
|filenotfounderror|recursionerror^3
stack trace|overflow^2
segmentation|syntax|compilation|compile|compiler|runtime|linker ... error|errors|fault^1.5
error message|code|handling|log^1
unit test|tests|testing^2
integration|regression test|tests|testing^1.5
merge conflict|conflicts^1
pull|merge request|requests^3
# What it is of.
regex|regexp^2
regular expression|expressions^2
array|arrays|subarray|substring|hashmap|boolean|tuple|pointer|pointers|linked|runtime|stdin|stdout
|nums^1
array|list of integers|strings|numbers|objects|dictionaries^1
-json array|format|object|dictionary^1
implement|traverse ... stack|stacks|queue|queues|tree|graph|heap|trie|cache|sort|search|iterator
|list^2
web|screen scraper|scraping|crawler|crawling^2
linked list|lists^1
binary|avl|spanning tree|trees|search^2
time|space|linear|quadratic|logarithmic complexity^2
data structure|structures^1
hash|lookup table|map|tables^1
recursion|recursive|recursively|iterative|algorithm|algorithms|fibonacci|memoization|multithreading
|asynchronous^1
dynamic|functional|concurrent programming^1
programming|programmer^0.75
programming problem|language|languages|challenge|exercise^1
api|apis|endpoint|endpoints|backend|frontend|middleware|microservice|microservices|webhook|orm|sdk
|cli^1
rest|restful|graphql|grpc ... api|apis|endpoint|server|service^1.5
dockerfile|makefile^2
docker container|image|compose|volume^1
commit|commits|repo|repository|rebase|playbook|playbooks|print|prints^0.5
chrome|browser|vscode extension|plugin^2
kernel module|driver^2
smart contract|contracts^1
node|next|vue|express|three js^2
git|github|gitlab|docker|kubernetes|terraform|ansible|nginx|redis|mongodb|npm|webpack|pip|conda^1.5
selenium|opencv|arduino|cuda|opengl|pandas|sklearn|keras|matplotlib|plotly|langchain
|fastapi^1.5
bash|shell|linux|terminal|powershell|git command|commands^1.5
excel|sheets|spreadsheet formula|formulas|function|functions|macro|macros^2
html|css|latex|xml|svg code|tag|tags|syntax|element|page|template^1
latex|cronjob|crontab|yaml|dataframe|dataframes|stored procedure^1.5
software|web|mobile|android|ios|frontend|backend developer|app|application|engineer^0.5
# Code itself.
```^1.5
fn|func|function|class|struct|enum|const|lambda|elif|endif|nullptr|malloc|printf|println|sizeof
|async^0.5
def^1.5
return self|true|false|none|null|result|x|y|a|b|0|1^0.5
for i in range^2
import numpy|pandas|os|sys|re|json|torch|java|react|random|math|static^2.5
console log^2.5
system out^2
public|private|protected static|class|void|int|string|final|boolean^2.5
include stdio|iostream|vector|stdlib|string|bits^2.5
int main^2.5
std cout|vector|string|endl|map^2.5
using namespace|system^1.5
printf|println|elif|nullptr|malloc|sizeof|cout|cin|strlen|usestate|documentclass^2
select ... from ... where|group|order|join^2
create|drop|alter table^1
insert into|update ... set^0.5
__init__|__name__|__main__|eof|stderr^2
# Other meanings of its words.
-dress|zip|area|postal|post|promo|promotional|discount|coupon|referral|qr|bar|color|colour|morse
|penal|tax|building|fire|honor|honour|moral|secret|genetic|country|dialing|dialling|gift|invite
|ethical|labor|labour|civil|criminal|legal|vinci|access|voucher|swift|security|verification|pin
|cheat|product|sort|routing|billing|napoleonic|samurai|bro|hays|justinian|neural|airport|iata|hs
|naics|icd|cpt|diagnosis|uniform|ancient code|codes^2.5
-code of ... conduct|ethics|honor|honour|silence|hammurabi|law|practice|behavior|chivalry^3
-code name|red|blue|breaker|breakers|talker|talkers|switching|words^2
-encoder|decoder|encode|decode ... transformer|architecture|model^0.5
-movie|film|play|tv|television|radio|podcast|youtube|video|comedy|theater|theatre|stage|sales|phone
|call|calling|ad|advertisement|commercial|speech|telemarketing|hypnosis|meditation|drama|sitcom
|skit|animation|cartoon|tiktok|screenplay|presentation|interview|short|voicemail|voiceover
|narration|episode|hollywood|seo|wedding|ceremony script|scripts^3
-script|scripts ... movie|film|play|tv|show|podcast|youtube|video|comedy|scene|sketch|skit|episode
|speech|commercial|characters|dialogue|actor|actors|ad|advertisement|call|drama|conversation
|meditation|story|presentation|host|standup^3
-cursive|latin|cyrillic|arabic|devanagari|kanji|handwriting|ancient|cuneiform script|scripts^2
-training|exercise|workout|fitness|loyalty|rewards|reward|tv|television|radio|degree|academic
|education|educational|mentorship|mentoring|wellness|space|apollo|nuclear|weight|loss|diet|outreach
|volunteer|exchange|graduate|undergraduate|phd|masters|master|rehab|rehabilitation|welfare
|government|social|federal|pilot|leadership|internship|onboarding|referral|recycling|vaccination
|school|summer|reading|health|lunch|music|relief|aid|affiliate|employee|incentive|university
|college|scholarship|marathon|running|strength|lifting|recognition|safety|compliance|research
|sports|mba|bachelor|nutrition|awareness|conservation|breeding|treatment|prevention program
|programs|programme|programmes^3
-program|programs|programme ... beginners|weeks|muscle|athletes|employees|students|patients
|children|seniors|customers|donors|veterans|loyalty|fitness|workout|mentors^2.5
-function of|is^1
-function ... heart|liver|kidney|kidneys|brain|cell|cells|body|enzyme|protein|mitochondria
|government|organ|organs|society|language|verb|art|sleep|dna|rna|gene|wedding|event|venue^2
-quadratic|linear|exponential|trigonometric|logarithmic|continuous|differentiable|utility|wave|cost
|production|executive|cognitive|immune|kidney|liver|lung|thyroid|brain|bodily|sexual|job|social
|formal|corporate|zeta|gamma|density|objective|likelihood|demand|supply|probability function
|functions^1.5
-python|pythons snake|snakes|species|monty|habitat|bite|eats|pet|ball|burmese|skin^3
-monty|ball|burmese|reticulated|pet python|pythons^3
-java island|indonesia|coffee|sea|beans|volcano|trench|sparrow^3
-indonesia|sumatra|bali|island|central|east|west ... java^2
-bed|stink|june|lady|insect|water|garden|kissing ... bug|bugs^2
-solar|vast|wide|dizzying|diverse array|arrays^1
-family|pine|oak|apple|christmas|palm tree|trees^1
# Other languages.
codigo|codice|quellcode|programmcode|funcion|fonction|funktion|funcao|funzione|quelltext|skript
|programmieren^1.5
escribe|escribir|escriba|escreva|crea|crear|crie|schreibe|schreib|erstelle|ecris|ecrire|ecrivez
|cree|creer|scrivi|haz|faca|fais|implementa ... codigo|funcion|fonction|funktion|funcao|funzione
|programa|programme|programm|programma|skript|script|codice|code|algoritmo|algorithmus^2.5
代码^2
代碼^2
函数^2
程序^2
编程^2
算法^1.5
コード^2
プログラム^2
関数^2
スクリプト^2
код|кода|коде|функци*|программ*|скрипт*|алгоритм*^1.5
напиш*|созда* ... код|функци*|программ*|скрипт*|алгоритм*^2
코드*|함수*|프로그램*|스크립트*|알고리즘*^2
"""

_SLIDES = """
powerpoint|ppt|pptx^4
slideshow|slideshows^3
presentation^1
slides^2
slide deck|decks^3
slide^1
pitch|keynote|slide deck^1.5
make|making|create|creating|prepare|preparing|design|write|build|generate|give|giving|need|outline
|draft|develop|plan|do|put ... presentation|presentations^2
presentation slides|outline|about|on|script|deck^1
google slides^2
-playground|water|microscope|hair|glass|park slides|slide^2.5
-it|he|she|that|down|which slides^2
-presentation of ... results|data|symptoms|food|findings|answer^2
-clinical|food|data|visual|atypical|breech presentation^2
-presentation style|skills|skill|layer|matters|anxiety^1
presentacion|apresentacao|prasentation|prezentacja|prezentacje|presentazione|diapositivas
|diapositive|folien^2
幻灯片^3
演示文稿^3
スライド^3
プレゼン^2
презентаци*^3
слайд*^2
프레젠테이션*|슬라이드*^3
"""

_ANALYSIS = """
analyze|analyse|analyzing|analysing^2.5
analyze|analyse|examine|investigate the|this|these|how|why|whether|following|my|our|and^0.5
examine|investigate^2
examining|investigating|analyzes|analyses|scrutinize^1
review^1
review this|my|our|these|following|attached^1.5
review the^1
please|carefully|critically|thoroughly review|evaluate^1
analysis^1
perform|conduct|do|provide|give|make|write|prepare|run|carry|need ... analysis^1.5
swot|sentiment|statistical|regression|root|market|competitive|competitor|risk
|comparative|trend|pestle|financial|literary|data|critical|rhetorical|variance analysis^0.75
analysis of^1
-write|wrote|leave|post|reply|respond|book|movie|film|restaurant|product|yelp|amazon|google
|positive|negative|bad|good|glowing|peer|literature|performance|systematic|employee|customer|hotel
|creative ... review^2
-review of ... literature|movie|film|book|restaurant|album|game|product|hotel^2
-job|skills|skill|responsibilities|duties|ability ... analyze^1.5
analysiere|analysieren|analysez|analyser|analiza|analizar|analice|analise|analisar|analizza
|analizzare|analisi|analizuj|untersuche|untersuchen|examina|examinez|uberprufe|uberprufen
|analyseer^3
分析^3
анализ*|проанализ*^3
분석*^3
調査^2
"""

_SUMMARIZATION = """
summarize|summarise|summarizing|summarising|tldr^3
tl dr^3
summarized|summarised|summarizes|summarises|summarization|summarisation^1.5
summary|summaries^1
give|write|provide|create|make|generate|produce|short|brief|concise|bullet|executive ... summary
|summaries^1.5
summary of^1
condense^3
condensed|condensing|recap|synopsis^1
shorten|abridge|recap ... text|paragraph|article|essay|email|passage|story|document|sentence
|following|meeting^2
give|list|extract|identify ... main|key points|takeaways^1
main|key points|ideas|takeaways of|from|in^1
-profile|linkedin|resume|cv|professional|career ... summary^2.5
-summary judgment|statistics|execution|dismissal^2
-in summary^1
-condense|condenses|condensed ... water|vapor|vapour|steam|gas|matter|milk^2.5
resumir|resumen|resuma|resumo|resumer|resumez|riassumi|riassumere|riassunto|zusammenfassen
|zusammenfassung|samenvatting|podsumuj|streszczenie|ozetle^3
fasse|fass ... zusammen^3
总结^3
總結^3
摘要^3
概括^3
要約^3
まとめて^2
резюмир*|обобщ*|суммируй*^3
요약*^3
"""

_TRANSLATION = """
translate^3
translating|translations^1.5
translated|translates|translator^1
translation^1
translation|translated|translate|translator ... to|into|from|in {speech}^1.5
give|provide|need|write|check|correct|proofread|improve ... translation^1.5
{speech} translation|translations|translator^1.5
say|called|written|mean|means ... in {speech}^2
rewrite|write|convert|put ... in|into {speech}^0.75
-translate|translates|translated to|into action|practice|results|success|sales|reality|profit
|revenue|better|more|higher^3.5
-translate|translates ... experience|skills|idea|ideas|vision|strategy|knowledge|talent into|to^3
-translation|translate|translated ... mrna|rna|protein|proteins|ribosome|ribosomes|gene|axis|units
|vector|rotation^3
-transcription and translation^3
-lost in translation^3
-translate|translate ... graph|triangle|point|shape^3
traduce|traducir|traduzca|traduza|traduzir|traduis|traduisez|traduire|traduction|traduccion
|traducao|tradurre|traduci|traduzione|ubersetze|ubersetzen|ubersetzung|vertaal|vertalen|przetłumacz
|terjemahkan|oversett|oversatt^3
翻译^3
翻譯^3
翻訳^3
和訳^3
英訳^3
перевед*|перевест*|перевод*^3
번역*^3
"""

_IMAGE = """
image|picture|photo|diagram^1
images|pictures|photos|photograph|photographs|selfie|illustration|logo^0.75
generate|create|creating|draw|drawing|paint|render|produce|design|sketch|make|imagine ... image
|images|picture|photo|photograph|illustration|drawing|painting|logo|icon|poster|portrait|wallpaper
|diagram|flowchart|infographic^1.25
describe|caption|edit|enhance|crop|resize|upscale|identify|recognize|analyze ... image|images
|picture|photo|photograph|diagram^1
this|attached|following|uploaded|above image|picture|photo|photograph|diagram|screenshot^1
image|picture|photo|photograph|illustration|drawing of^0.5
midjourney|dalle|photorealistic^2
stable diffusion^2
er|uml|sequence|flow|class|venn|architecture|network|mermaid diagram^1
-paint|big|bigger|complete|better|clear|vivid|mental|motion|best|rosy|whole|overall picture^2
-picture yourself|a|perfect|book|books^1.5
-self|brand|public|body|docker|mirror|container|corporate|disk|iso image^2
-image processing|classification|recognition|segmentation|classifier|of god|dataset^1.5
-photo op|sharing|album|shoot^0.5
imagen|imagem|immagine|bild|bilder|fotografia|foto^1.5
genera|generar|crea|crear|cree|criar|crie|erstelle|zeichne|dibuja|dibujar|desenhe|dessine
|dessiner ... imagen|imagem|immagine|image|bild|foto^2
图片^2
圖片^2
图像^2
照片^2
画像^2
写真^2
изображен*|картинк*|фотограф*^2
이미지*|사진*|그림*^2
"""

_DOCUMENT = """
document|report|paper^1
pdf^2
documents|reports|papers|docx^0.5
{draft} ... report|paper|document|contract|agreement|thesis|dissertation|whitepaper|specification
|manual|documentation|memorandum|nda|affidavit|will|deed|lease|patent^1.5
contract|agreement|thesis|dissertation|whitepaper|nda|affidavit|memorandum|documentation
|specification|patent^0.5
research|term|white|scientific|academic|technical|legal|lab|progress|annual|quarterly|status
|incident|business|journal|conference|position|policy paper|report|document|documentation^1
this|attached|following|uploaded|given pdf|document|report^1
abstract|introduction|conclusion|section|outline for|of ... paper|thesis|report|dissertation
|study^1.5
-toilet|wrapping|tissue|sand|wax|parchment|scrap|construction|tracing|rolling|wall|news|origami
|fly paper^2.5
-piece|sheet|sheets|stack|slip|scrap|roll of paper^2.5
-paper towel|towels|plane|planes|airplane|airplanes|bag|bags|cup|cups|clip|clips|money|crane|cranes
|trail|boat|straws|mache^2.5
-rock paper^2.5
-smart contract|contracts^2
-report|reports|reported that|to|on by|it|him|her|them^0.75
-book|credit|weather|news|traffic|police|minority report^1
-write ... about|from paper^0.5
dokument|documento|documentos|bericht|informe|rapport|relatorio|relazione|contrato|vertrag
|contrat^1.5
escribe|escribir|escriba|redacta|redactar|schreibe|erstelle|redige|rediger|scrivi|elabora
|elaborar ... documento|informe|bericht|rapport|relatorio|relazione|contrato|vertrag|contrat^2
文档^2
报告^2
論文^2
论文^2
報告^2
レポート^2
документ*|отчет*^2
문서*|보고서*|논문*^2
"""


def _entries(block: str) -> tuple[str, ...]:
    """An entry a line; a line that begins with | goes on with the one before, one with # says why."""
    lines = block.replace("\n|", "|").splitlines()
    return tuple(line.format(**_GROUPS) for line in lines if line and not line.startswith("#"))


SRS_RULES = Rules(
    tools={
        "code_execute": "code",
        "document_ingest": "document",
        "http_fetch": "research",
        "file_read": "file_ops",
        "canvas_append": "canvas",
        "dalle3_image_gen": "image_gen",
        "mermaid_diagram": "diagram",
        "playwright_screenshot": "screenshot",
    },
    mime_types={
        "application/pdf": "document",
        "application/msword": "document",
        "application/rtf": "document",
        "application/epub+zip": "document",
        "application/vnd.oasis.opendocument.text": "document",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.*": "document",
        "application/vnd.ms-powerpoint": "slides",
        "application/vnd.oasis.opendocument.presentation": "slides",
        "application/vnd.openxmlformats-officedocument.presentationml.*": "slides",
        "application/vnd.ms-excel": "analysis",
        "application/vnd.oasis.opendocument.spreadsheet": "analysis",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.*": "analysis",
        "application/vnd.apache.parquet": "analysis",
        "text/csv": "analysis",
        "text/tab-separated-values": "analysis",
        "text/x-*": "code",
        "text/javascript": "code",
        "application/javascript": "code",
        "application/sql": "code",
        "application/x-sh": "code",
        "application/x-ipynb+json": "code",
        "image/*": "image",
    },
    words={
        "analysis": _entries(_ANALYSIS),
        "code": _entries(_CODE),
        "document": _entries(_DOCUMENT),
        "image": _entries(_IMAGE),
        "slides": _entries(_SLIDES),
        "summarization": _entries(_SUMMARIZATION),
        "translation": _entries(_TRANSLATION),
    },
)
