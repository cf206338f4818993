"""What English words and phrases mean, beyond those that the world's captions use themselves.

Nouns are written in the singular and verbs in the infinitive; `english.py` adds the inflections. Meanings
are those of `Facts`.
"""

KINDS = {
    "ball": "ball|sphere|orb|globe|bouncy ball|bouncing ball|basketball|football|tennis ball|marble",
    "cube": "cube|box|dice|die",
    "bar": "bar|rod|pole|beam",
    "ring": "ring|hoop",
    "block": "block|woodblock|wood block|brick",
    "bottle": "bottle|flask",
    "bowl": "bowl|basin|singing bowl|dish",
    "drum": "drum|drum skin|drumskin|drum head|drumhead|snare drum|snare|bass drum|bongo|tambour",
    "bell": "bell|handbell|hand bell|church bell|cowbell|cow bell",
    "tile": "tile|rubber slab",
    "accordion": "accordion|squeezebox|accordeon",
    "acoustic guitar": "acoustic guitar|guitar|classical guitar|spanish guitar|folk guitar",
    "cello": "cello|violoncello",
    "clarinet": "clarinet|bass clarinet",
    "erhu": "erhu|er hu|chinese fiddle|chinese violin",
    "flute": "flute",
    "saxophone": "saxophone|sax|alto sax|tenor sax|alto saxophone|tenor saxophone",
    "trumpet": "trumpet|cornet|bugle",
    "tuba": "tuba|sousaphone",
    "violin": "violin|fiddle",
    "xylophone": "xylophone|marimba",
}
PLAYERS = {  # who is known by an instrument
    "accordion": "accordionist|accordion player",
    "acoustic guitar": "guitarist|guitar player",
    "cello": "cellist|cello player",
    "clarinet": "clarinetist|clarinettist|clarinet player",
    "erhu": "erhu player|erhu musician",
    "flute": "flutist|flautist|flute player",
    "saxophone": "saxophonist|sax player|saxophone player",
    "trumpet": "trumpeter|trumpet player|trumpetist",
    "tuba": "tubist|tuba player|tubaist",
    "violin": "violinist|violin player|fiddler|fiddle player",
    "xylophone": "xylophonist|xylophone player",
    "drum": "drummer|drum player",
}
MATERIALS = {
    "metal": "metal|metallic|steel|iron|brass|bronze|aluminium|aluminum|tin|chrome",
    "glass": "glass|glassy|crystal",
    "ceramic": "ceramic|porcelain|clay|earthenware|stoneware|china|terracotta",
    "wood": "wooden|wood|timber|oak|pine|oaken",
    "rubber": "rubber|rubbery",
    "felt": "felt|felt tipped|felt tip|felt headed",
    "stone": "stone|stony|rock|rocky|concrete|brick wall of",
}
COLOURS = {
    "copper": "copper|coppery|copper coloured|copper colored",
    "green": "green|emerald|greenish",
    "blue": "blue|navy|azure|bluish",
    "amber": "amber|orange",
    "white": "white|ivory|snow white|whitish",
    "turquoise": "turquoise|teal|cyan|aqua|aquamarine",
    "pink": "pink|rose|pinkish",
    "brown": "brown|brownish",
    "tan": "tan|beige",
    "chestnut": "chestnut|reddish brown",
    "red": "red|crimson|scarlet|ruby|reddish",
    "black": "black|jet black|ebony",
    "yellow": "yellow|lemon|yellowish",
    "purple": "purple|violet|lilac|mauve",
    "gold": "gold|golden|gilded|gold coloured|gold colored",
    "silver": "silver|silvery|silver coloured|silver colored",
}
SIZES = {
    "small": "small|little|tiny|miniature|smallish|wee",
    "medium": "medium|mid sized|medium sized|midsized|middle sized|average sized|moderately large",
    "large": "large|big|huge|giant|enormous|massive|gigantic|oversized|great big",
}
_SIDES = {"left": ("left",), "right": ("right",), "middle": ("middle", "centre", "center")}
SIDES = {
    side: "|".join(
        [f"{at} the {word}" for word in words for at in ("on", "at", "to", "in", "toward", "towards", "from")]
        + [f"{word} {part}" for word in words for part in ("side", "part", "half", "hand side", "edge")]
        + [f"{at} the {word} {part}" for word in words for at in ("on", "at", "to", "in")
           for part in ("side", "part", "half", "hand side", "edge", "of the frame", "of the picture",
                        "of the scene", "of the screen", "of the image", "of the room", "of the shot",
                        "side of the frame", "side of the picture", "side of the screen",
                        "side of the scene")]
        + [*words, f"{words[0]}most", f"{words[0]}hand", f"{words[0]} hand"]
    )
    for side, words in _SIDES.items()
}  # fmt: skip
SIDES["middle"] += "|central|centrally|centred|centered|halfway across|right in the middle|dead centre"
SIDES["right"] += "|on the far right|far right|off to the right"
SIDES["left"] += "|on the far left|far left|off to the left"
PLACES = {
    "restaurant": "restaurant|cafe|café|coffee shop|coffee house|coffeehouse|coffee bar|bistro|diner|pub|tavern"
    "|cafeteria|canteen|dining room|eatery|brasserie|pizzeria|in a bar|at a bar|at the bar|in the bar|tearoom"
    "|in a busy bar|food court|trattoria|steakhouse|dining hall",
    "space station": "space station|spaceship|spacecraft|space ship|starship|orbital station|space lab"
    "|station in space|station in orbit|in orbit|in space|in outer space|outer space|orbiting station"
    "|international space station|space shuttle|orbiter|iss",
    "national park": "national park|park|meadow|forest|in the woods|in woods|woods|outdoors|out of doors"
    "|in nature|wilderness|garden|valley|in the open air|open air|in the mountains|mountains|countryside"
    "|nature reserve|outside|woodland|in a field|in the field|in an open field|nature|in the wild|backcountry",
    "concert hall": "concert hall|auditorium|opera house|theatre|theater|symphony hall|philharmonic"
    "|philharmonic hall|music hall|hall|on stage|onstage|on a stage|on the stage|stage|concert venue"
    "|opera|recital hall|concert stage|performance hall",
    "cave": "cave|cavern|grotto|underground cave|cavernous chamber",
    "dry studio": "studio|recording studio|dry studio|recording booth|sound booth|vocal booth|dead room"
    "|anechoic chamber|music studio|dry room|recording room|sound studio|soundproof room|recording space",
}
LAWNS = "lawn|turf|meadow grass|grassy ground|grassy lawn|grassland"  # a floor of grass, out in a park
FLOORS = {
    "stone": "stone floor|stones|stone ground|flagstone|paving stone|cobblestone|concrete floor|marble floor"
    "|rocky ground|rocky floor|stone slab|stone tiles|rock floor|stone surface|rocks",
    "wood": "wooden floor|wood floor|floorboard|wooden board|parquet|hardwood|hardwood floor|wooden planks"
    "|floor of wood|wooden ground|wooden boards|wood flooring|timber floor|wooden surface|plank",
    "metal": "metal floor|steel floor|metal plate|metal ground|iron floor|metal deck|steel deck"
    "|metal surface|floor of metal|steel plate",
    "carpet": "carpet|rug|carpeted floor|carpet floor|carpeting|carpeted ground|soft carpet",
    "grass": "grass|grassy floor|green grass|grass floor|blades of grass",
}
AGENTS = (
    "someone|somebody|person|man|woman|boy|girl|musician|player|guy|lady|kid|child|artist|performer|i|we|you|he"
    "|she|anybody|anyone|people|hand|soloist|busker|street musician|men|women|children|band|they"
)
ACTIONS = {  # verbs; irregular forms are written out
    "falls": "fall|falls|falling|fell|fallen|drop|plummet|tumble|plunge|come down|comes down|came down|coming down"
    "|crash down|land|bounce|release|toss|throw|throws|threw|thrown|throwing|let fall|lets fall|let go of"
    "|let go|lets go of|lets go|letting go of|descend to|topple|free fall|free falls|in free fall"
    "|hit the ground|hits the ground|hitting the ground|hit the floor|hits the floor|hitting the floor"
    "|strikes the floor|strikes the ground|meets the floor|falls down|fall down|falling down|fell down"
    "|drop down|rain down|fling|flung|chuck|plop|plop down|crash to|crashes to|crash onto|crashes onto",
    "hangs": "hang|hangs|hanging|hung|float|hover|suspend|dangle|stay up|stays up|stays in the air"
    "|stay in the air|hang in the air|hangs in the air|hanging in the air|in mid air|in midair|levitate"
    "|floats in the air|floating in the air|hovers in the air|suspended in the air|suspended in mid air"
    "|stays up in the air|hang in mid air|hangs in mid air|hanging in mid air|hangs in midair"
    "|hovers in mid air|floats in mid air",
    "lies": "lie|lies|lying|lay|lain|rest|sit|sits|sitting|sat|stay put|stays put|motionless|stationary|unmoving"
    "|stays still|stay still|remains still|is still|are still|sits still|lies still|lie still|does not move"
    "|do not move|just lies there|just sits there|immobile|is lying|is sitting|is resting|at rest",
    "is struck": "strike|strikes|striking|struck|stricken|hit|hits|hitting|beat|beats|beating|beaten|tap|knock"
    "|knock on|bang|bang on|pound|pound on|whack|smack|thump|bash|hammer on|rap|rap on|tap on|drum on|clink"
    "|chime|toll|ring|rings|rang|rung|ringing|clang|drumming on|peal|resound|ding|give a knock|smash|slam|sound out",
    "plays": "play|plays|playing|played|perform|blow|blows|blew|blown|blowing|pluck|strum|bow|jam|serenade|practise"
    "|practice|play on|solo|sing|sings|sang|sung|singing|toot|make music|makes music",
    "sounds": "sound|sounds|sounding|sounded|is heard|are heard|can be heard|ring out|rings out|rang out"
    "|be heard|sound of|sounds of|the sound of|noise of|make a sound|makes a sound|make noise|makes noise",
    "collide": "collide|knock together|bump into|bump together|crash into|knock into|clash|meet|meets|met"
    "|smash together|smash into|hit each other|hits each other|strike each other|bang together"
    "|knock against|bump against|crash together|collide with|knock into each other|crash into each other"
    "|bump into each other|bang into each other|hit one another|run into each other|touch each other",
    "is left alone": "left alone|leave alone|is left alone|are left alone|leaves alone|untouched|unstruck"
    "|stand untouched|stands untouched|goes unstruck|left untouched|ignored|nobody touches|no one touches",
    "is held": "hold|holds|holding|held|wait|waits|waiting|unplayed|without playing|without being played"
    "|but not played|and not played|but does not play|but do not play|without playing it|without playing a note"
    "|but not play|but not playing|stays quiet|keeps quiet|waits with its player|not playing|is idle"
    "|stays unplayed|rest in the hands",
}
COUNTED = "stroke|note|landing|tone|blow|bounce|beat|tap|knock|hit|strike|bang|bong|ring|chime|impact|thump|time around"
BACKGROUNDS = {
    "voices": "people murmur|people talk|people talking|people chat|people chatting|murmur of voices|voices"
    "|people murmuring|murmuring people|murmuring voices|voices murmur|chatter|guests talk|murmuring|guests murmur"
    "|people speak|people speaking|chattering|conversation|people converse|murmur of people|murmur",
    "hum": "machines hum|machine hum|hum of machines|humming machines|machines humming|machinery hums"
    "|humming machinery|hum of machinery|hum",
    "wind": "wind blows|wind blowing|wind|breeze|breath of wind|blowing wind|the wind is blowing|breeze blows",
    "air": "air of the hall|hush of a large hall|hush of the hall|hush",
    "drips": "water drips|dripping water|water dripping|drops of water|drip of water|drips of water|dripping",
}
FORCES = {
    "gently": "gently|gentle|softly|soft|lightly|light|delicately|quietly|quiet|tenderly|faintly|faint|pianissimo"
    "|weakly|with little force|very softly|very gently|as softly as possible|barely|with a light touch|calmly",
    "firmly": "firmly|firm|moderately|with some force|at a medium volume|with medium force|with moderate force"
    "|neither softly nor loudly|evenly|mezzo forte|at medium volume|moderately loud|moderately loudly|at a moderate volume"
    "|at normal volume|not too loud|solidly|medium hard|medium loud|moderately hard",
    "hard": "hard|harder|strongly|strong|forcefully|forceful|powerfully|powerful|violently|violent|loudly|loud|heavily"
    "|heavy|vigorously|with full force|with great force|with a lot of force|with force|mightily|with all might"
    "|fiercely|forte|fortissimo|at full volume|with a full sound|energetically|as hard as possible|aggressively"
    "|very hard|very loudly|really hard|at high volume|with power|with strength|noisily|brutally|at the top of its voice",
    "unequally": "unequally|with unequal force|now harder now softer|unevenly|irregularly loud",
}
SPEEDS = {
    "quickly": "quickly|quick|fast|rapidly|rapid|swiftly|speedily|at high speed|briskly|hurriedly",
    "slowly": "slowly|slow|leisurely|unhurriedly|at a slow pace|at low speed",
}
REGISTERS = {
    "low": "low in its range|in its low register|low register|low notes|low note|low pitched|low pitch|deep notes|deep"
    "|low|in a low register|low tones|deep tones|low in pitch|low range",
    "middling": "in its middle register|midway in its range|middle register|medium pitch|mid range|middle notes"
    "|middle of its range|in a middle register|in the middle of its range|in the middle register",
    "high": "high in its range|in its high register|high register|high notes|high note|high pitched|high pitch"
    "|high|in a high register|high tones|shrill|high in pitch|high range|top notes",
}
LINES = {
    "rising": "rising|ascending|going up|upward|upwards|rises|rise|goes up|ascend|climbing|climbs|rising melody"
    "|ascending scale|upward scale|rising notes|rising scale|ascending notes|ascending melody|rising tune",
    "falling": "going down|descending|downward|downwards|goes down|falling melody|falling notes|falling scale"
    "|descending scale|descending notes|descending melody|falling line|descend|descends|falling tune",
}
SILENT = (
    "in silence|silently|silent|stays silent|makes no sound|make no sound|makes no audio|without a sound"
    "|without sound|without any sound|soundlessly|noiselessly|without a noise|stay silent|makes no noise|mute"
    "|making no sound|without making a sound|remains silent|is silent|are silent|keeps silent"
)
LEAVES = (
    "is out of sight at the end|cannot be seen in the end|out of sight|rolls away|rolls out of view|disappears"
    "|leaves the frame|leaves the picture|rolls out of sight|rolls out of the frame|goes out of sight|vanishes"
    "|out of sight at the end|and cannot be seen in the end"
)
HIDDEN = (
    "off screen|offscreen|off camera|out of frame|out of the frame|outside the frame|beside the frame|out of view"
    "|unseen|outside the picture|out of the picture|off stage|from off screen|not visible|invisible"
)
SOMETHING = "something|a noise|noise|a sound from"
STICKS = "stick|mallet|drumstick|drum stick|beater|hammer|baton|wand|striker|club"
WALLS = "wall"
PILLARS = "pillar|column"
THINGS_SEEN = (
    "thing can be seen|things can be seen|things are seen|things are visible|thing is visible|objects can be seen"
    "|objects are visible|things|objects"
)
NOTHING_SOUNDS = (
    "nothing makes a sound of its own|no thing sounds|nothing makes a sound|nothing sounds|nothing makes any sound"
    "|nothing is heard|nothing can be heard|no sound at all"
)
NO_CUTS = (
    "no cut|no cuts|there is no cut|it is all one shot|one shot|single shot|single take|one take|without cuts"
    "|without a cut|uncut|continuous shot|one continuous shot|without any cut|without any cuts|no cutting"
)
CUTS = (
    "the frame cuts|frame cuts|there is a cut|cut|cuts|cut to|cuts to|hard cut|jump cut|scene cut|shot change"
)
NO_MOVES = (
    "the camera stands still|the camera does not move|camera stands still|camera does not move|static camera"
    "|fixed camera|static shot|camera is still|camera is fixed|camera is static|locked camera|still camera"
    "|the camera is static|the camera is fixed|the camera is still|camera stays still|camera remains still"
    "|the camera stays still|no camera movement|no camera motion|without camera movement|tripod shot"
)
MOVES = {
    "zooms in": "zooms in|zoom in|zooming in|camera moves closer|moves closer|camera moves in|dolly in"
    "|pushes in|push in|camera gets closer|camera goes closer|camera closes in|camera approaches|moving closer",
    "zooms out": "zooms out|zoom out|zooming out|draws back|pulls back|pull back|pulling back|camera moves away"
    "|camera moves back|dolly out|pulls out|camera backs away|drawing back|camera retreats",
    "pans left": "pans left|pan left|panning left|pans to the left|pan to the left|panning to the left"
    "|camera turns to the left|camera turns left|turns to the left|camera moves left|camera moves to the left"
    "|camera swings left|leftward pan",
    "pans right": "pans right|pan right|panning right|pans to the right|pan to the right|panning to the right"
    "|camera turns to the right|camera turns right|turns to the right|camera moves right"
    "|camera moves to the right|camera swings right|rightward pan",
}
NUMBERS = {
    0: "zero", 1: "one|single|a single|just one|only one", 3: "three|a few|several|some|trio of|a trio of", 4: "four|quartet of",
    2: "two|a couple of|couple of|a pair of|pair of|both|a couple|a duo of|duo of", 5: "five", 6: "six|half a dozen",
    7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve|a dozen|dozen",
}  # fmt: skip
TIMES = {
    1: "once|one time|a single time|just once|only once",
    2: "twice|a couple of times",
    3: "thrice|a few times|several times",
}
SECONDS = {
    0.5: "half a second|a half second|half second", 1.0: "a second|one second",
    1.5: "one and a half seconds|a second and a half", 0.0: "at the start|at the beginning|right away|immediately|from the start",
}  # fmt: skip
THEN = (
    "then|next|afterwards|afterward|after that|after this|later|later on|finally|followed by|subsequently|and then"
    "|thereafter|after which|a moment later|before long|at last|in the end|eventually|lastly|and finally|secondly|and next"
    "|shortly after|shortly afterwards|right after that|a little later|once that is done"
)
BEFORE = "before|prior to|ahead of"
AFTER = "after|once the|following|as soon as|right after|shortly after the|just after"
NEGATIONS = (
    "no|not|without|never|nobody|no one|none|nor|neither|without any|with no|there is no|there are no|not any|minus"
    "|except|excluding|avoid|nothing|lacking|free of|do not show|but no|and no|never any"
)
PRONOUNS = "it|them|both of them|all of them|each of them|each|all|they both|both of these|these|those|all three|all four"
FUNCTION = (
    "a an the this that these those its their his her my your our there here is are was were be being been am get gets got "
    "getting gotten has have had having do does did doing will would shall should can could may might must let lets make "
    "makes made making by with in into inside within at to from as so up off out down over about near some any such "
    "just only very really quite rather too also again please show shows showing showed scene clip video shot "
    "picture image frame one's view see sees seen watch hear hears heard while whilst where which who whom whose when if during "
    "meanwhile simultaneously together time same moment now first starts start starting begins begin beginning "
    "begun started keep keeps keeping gives give giving given goes go going come comes coming put place places "
    "placed standing stands stand stood playing's against onto upon towards toward along through across around "
    "background foreground air kind piece music melody tune melodies tunes song songs sound-wise like want "
    "need needs create generate render imagine depict depicting featuring feature features camera set takes took take taking place "
    "happens happen happening somewhere sort bit little's own each every other another ones sky above below under underneath "
    "room's there's it's inside aboard beside next between both solo alone itself himself herself themselves yet still "
    "stay stays remain remains remaining appears appear appearing visible top table side's large-scale well what how "
    "all everything anything else but however though although because since until till is-it gently-there's "
    "ground-level using use uses used hands hand high-up way ways turn turns turning time's second seconds' front back "
    "roll rolls rolling rolled object thing made surface location setting located situated positioned empty "
    "busy dark little-bit quick-paced being's new old nice simple simply short long clear clearly"
).split()
PROTECTED = (  # ordinary words that look like one of the lexicon
    "tall call bill belt hall mall bull well sell tell cell wall ballet belly bald bale balm bail bold boll bolt calf "
    "talk walk halt salt hill pill mill fill kill till will wine line mine nine fine pine vine dine cat car bat bag "
    "bad bed bet bee bear beer beard beef bend best beta beet dump dream trump dust drug drunk drain drink drip "
    "king wing sing thing string spring bring sting swing fling rang range wring rink rice ride rich rod road read "
    "real rear reed rest test nest best cake came case cash cast cafe safe save gave wave have pave "
    "lake bake take make wake rake sake stick stuck stock steel steal still style stage stake stare start state stay "
    "flat float floor flood flour flow flower fluid fly flame flag flat flash flesh blouse black block clock "
    "lock rock sock dock knock luck duck truck trick brick track crack dress press grass glass class mass brass "
    "gross gloss cross boss toss moss loss toll tool pool cool wool wood food good mood hood foot root boot book "
    "look cook hook tube tune tone tile time tide pile mile file smile while white write bite kite site sight light "
    "might night right fight tight eight weight height great treat heat meat seat beat boat coat goat road load "
    "cup cube cure cute tub rub bubble rubble ribbon robber robin copper pepper paper tiger table cable gable maple "
    "apple sample simple purple people couple castle cattle kettle battle bottom button butter better letter "
    "litter little title cello hello yellow mellow fellow pillow hollow follow swallow shallow follow "
    "violent violet violence volume village villa pilot piano organ harp banjo viola oboe bassoon gong cymbal "
    "ukulele harmonica keyboard trombone mandolin lute lyre bagpipe triangle tambourine horn whistle "
    "gold bold cold fold hold told sold mold pink sink link wink rink blue glue clue true sure pure brown crown frown "
    "grown green greek greed great grey gray tan fan man can pan van ran red bed led fed rod sofa soda bowl bowls bow "
    "small smell smart snail squall lamp lump large larger charge barge merge midst middle riddle fiddle saddle "
    "paddle puddle meddle noodle poodle needle candle handle dog frog fog log cabin carbon cavern tavern coffee "
    "dragon wagon horse house mouse louse bird fish ship shop shot slot slit plot plate place palace plane planet "
    "plant plain player prayer water winter writer waiter waiter station nation motion ration section statue "
    "bus gust dust rust must just dance prance trance glance france lawn dawn yawn prawn drawn loan clan "
    "stone store story storm star stair stain stand strand grand brand bland island fall tail tank hank bank "
    "band hand land sand bend send lend mend tend wand robot rabbit carrot parrot ocean beach city street "
    "kitchen bridge river church tree train plane snow rain guitarra gorilla lion banana sing rings bells bulls hells "
    "tells calls walls halls falls fells balls bowls bars cars wars ears tears drums crumbs thumbs plums trumps stumps "
    "jumps dumps flutes fruits routes hoops loops troops shoot shout about bound found round sound pound hound mound "
    "wound ground crowd cloud loud aloud proud bread broad brook crook shook desk disk task mask husk dish fist list "
    "mist wrist twist twice thrice price slice spice three threw throw tree free thread threat firm form farm warm "
    "harm charm film fill felt melt belt left lift loft soft sift gift shift swift rift heart hard herd heard word "
    "ward card cord lord bored board beaver jazz rock pop metalworker party person glow guy gem jam toy boy joy "
    "key cloth clothes metals medal pedal petal rental mental model modern chess cheese chair choir chimney "
    "panda ponder pander wander wonder under thunder elephant airplane unicorn fire wire wolf golf gulf calm palm "
    "quiet quite quit suite suit shut shirt skirt short sport port part park dark bark mark shark spark lark"
).split()
